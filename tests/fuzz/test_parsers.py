"""Parsers of outside bytes: whatever comes in, they give a value or the error that they name.

`make fuzz` gives each of them 3,000 texts, the suite a few.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from mcp.client.auth.utils import handle_auth_metadata_response, handle_protected_resource_response

from gateway.catalog.client_config.client_config import parse_client_config
from gateway.catalog.tool import parse_listing
from gateway.downstream.methods.tools.tool_rendering import compact_schema, signature_of
from gateway.downstream.uri import parse_qualified_uri, template_space, uri_space
from gateway.errors import GrantRefusedError, InvalidInputError, SettingsError
from gateway.json_codec import decode, encode
from gateway.settings import load_settings
from gateway.upstream.credentials.oauth_grant import OAuthClient
from gateway.upstream.oauth.token_response import parse_token_response
from gateway.upstream.openapi.document import parse_document
from tests.fuzz.mangled_text import mangled_bytes, mangled_texts

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)

TOOL = {
    "name": "create_issue",
    "title": "Create",
    "description": "Creates an issue.",
    "inputSchema": {
        "type": "object",
        "properties": {"title": {"type": "string", "enum": ["a", "b"]}, "n": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"type": "integer"}},
        "required": ["title"],
        "additionalProperties": False,
    },
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
    "_meta": {"ui": {"visibility": ["app"]}},
}
MESSAGES = [
    '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {"x": [1, 2.5, null]}}}',
    '{"jsonrpc": "2.0", "id": "7", "result": {"content": [{"type": "text", "text": "\\u00e9\\ud83d\\ude00"}]}}',
]
CONFIGURATIONS = [
    '{"mcpServers": {"a": {"command": "npx", "args": ["x"], "env": {"K": "${K}"}}, "b": {"url": "https://x/mcp"}}}',
    '{\n  // a comment\n  "servers": {"a/b": {"type": "http", "url": "http://x", "headers": {"A": "${input:k}"},},}}',
    '[mcp_servers.a]\ncommand = "uvx"\nargs = ["x"]\n[mcp_servers.a.env]\nK = "v"\n',
]
DOCUMENTS = [
    json.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "t", "version": "1"},
            "servers": [{"url": "https://example.com/v1"}],
            "paths": {"/a/{id}": {"get": {"operationId": "a", "parameters": [{"name": "id", "in": "path"}]}}},
        }
    ),
    "openapi: 3.0.3\ninfo: {title: t, version: '1'}\npaths:\n  /a:\n    get:\n      operationId: a\n",
]
SETTINGS = ['[server]\nport = 8080\nhost = "127.0.0.1"\n\n[search]\nthreshold = 0.5\nmode = "hybrid"\n']
TOKENS = ['{"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r", "scope": "s"}']
METADATA = [
    '{"issuer": "https://a.example", "authorization_endpoint": "https://a.example/a", "token_endpoint": '
    '"https://a.example/t", "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}',
    '{"resource": "https://a.example/mcp", "authorization_servers": ["https://a.example"], "scopes_supported": ["x"]}',
]
EVENTS = [
    'event: message\nid: 1\nretry: 10\ndata: {"jsonrpc": "2.0", "id": 1, "result": {}}\n\n: a\n\ndata: a\ndata: b\n\n'
]
URIS = ["https://example.com/{id}", "modelgate://slug/file%3A%2F%2Fa", "ui://modelgate/slug/x", "note:{+any}"]


@fuzzed
@given(mangled_bytes(MESSAGES))
def test_a_message(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        value = decode(data)
        assert decode(encode(value)) == value or value != value or b"NaN" in data or b"e9" in data


@fuzzed
@given(mangled_bytes([json.dumps([TOOL, {**TOOL, "name": "b"}])]))
def test_a_listing_of_tools(data: bytes) -> None:
    try:
        entries = decode(data)
    except ValueError:
        return
    tools, skipped = parse_listing(entries if isinstance(entries, list) else [entries])
    assert all(each.reason for each in skipped)
    for tool in tools:
        schema = json.dumps(json.loads(tool.json)["inputSchema"])
        json.loads(compact_schema(schema))
        assert len(signature_of(tool.name, schema)) <= 300


@fuzzed
@given(mangled_texts(CONFIGURATIONS))
def test_a_clients_configuration(text: str) -> None:
    with contextlib.suppress(InvalidInputError):
        parse_client_config(text, {"K": "v"})


@fuzzed
@given(mangled_bytes(DOCUMENTS))
def test_an_openapi_document(data: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        parse_document("Docs", data)


@fuzzed
@given(data=mangled_bytes(SETTINGS))
def test_a_settings_file(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(data)
    with contextlib.suppress(SettingsError):
        load_settings(file, {})


@fuzzed
@given(mangled_bytes(TOKENS))
def test_a_token_response(data: bytes) -> None:
    client = OAuthClient("id", "", "https://example.com/token")
    with contextlib.suppress(GrantRefusedError):
        parse_token_response("Docs", client, httpx2.Response(200, content=data), "s")
    with pytest.raises(GrantRefusedError):
        parse_token_response("Docs", client, httpx2.Response(400, content=data), "s")


@fuzzed
@given(mangled_texts(URIS))
def test_an_address(text: str) -> None:
    parse_qualified_uri(text)
    uri_space(text)
    template_space(text)


@fuzzed
@given(mangled_bytes(METADATA))
def test_metadata_of_an_authorization_server(data: bytes) -> None:
    async def read() -> None:
        for parse in (handle_auth_metadata_response, handle_protected_resource_response):
            await parse(httpx2.Response(200, content=data))

    asyncio.run(read())


@fuzzed
@given(mangled_bytes(EVENTS))
def test_a_stream_of_events(data: bytes) -> None:
    async def read() -> None:
        request = httpx2.Request("GET", "http://a.example/mcp")
        kind = {"content-type": "text/event-stream"}
        response = httpx2.Response(200, headers=kind, content=data, request=request)
        async for event in httpx2.EventSource(response, max_event_size=2_000):
            with contextlib.suppress(ValueError):
                decode(event.data)

    # A larger event than may be is the one error that there is.
    with contextlib.suppress(httpx2.SSEError):
        asyncio.run(read())
