"""What a client gets that sends something wrong: a clear answer, never a 500 and never a traceback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from gateway.components import open_components
from gateway.settings import load_settings
from tests.support.cluster import Cluster
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.listed import add_listed, tool

LIMIT = 4 * 1024 * 1024
MODERN = {
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "tool_search",
    "Accept": "application/json, text/event-stream",
}


@pytest.fixture(scope="module")
async def gateway(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """One gateway for all of these tests: none of them changes anything. It has one tool, a calculator."""
    name = await cluster.create()
    folder = tmp_path_factory.mktemp("bad_input")
    environ = {
        "MODELGATE_DATABASE_URL": cluster.url(name),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(folder),
    }
    async with open_components(load_settings(environ=environ)) as parts, running_gateway(parts) as running:
        await add_listed(parts, folder, tool("calculator", "Perform mathematical calculations"))
        yield running
    await cluster.drop(name)


def said(response: httpx2.Response, status: int, code: int) -> str:
    """The message of a JSON-RPC error, after its status and code were checked."""
    assert response.status_code == status
    body = response.json()
    assert body["jsonrpc"] == "2.0"
    assert body["error"]["code"] == code
    message: str = body["error"]["message"]
    assert "Traceback" not in response.text
    return message


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"a": 1', b"\xff\xfe", b"[" * 100_000, b"1" * 10_000])
async def test_a_body_that_is_not_json_is_told(gateway: RunningGateway, body: bytes) -> None:
    assert said(await gateway.post(body), 400, -32700) == "The body is not valid JSON."


@pytest.mark.parametrize(
    "message",
    [5, "text", None, {}, {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {"id": 1, "method": "ping"}],
)
async def test_json_that_is_no_request_is_told(gateway: RunningGateway, message: Any) -> None:
    told = said(await gateway.post(json.dumps(message).encode()), 400, -32600)
    assert told == 'The body has to be one JSON-RPC request with "jsonrpc": "2.0".'


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"id": None}, "id has to be a string or a whole number."),
        ({"id": 1.5}, "id has to be a string or a whole number."),
        ({"id": True}, "id has to be a string or a whole number."),
        ({"id": {}}, "id has to be a string or a whole number."),
        ({"method": 5}, "method has to be a string."),
        ({"method": None}, "method has to be a string."),
        ({"params": 5}, "params has to be an object."),
        ({"params": [1]}, "params has to be an object."),
    ],
)
async def test_a_request_with_a_wrong_field_is_told(gateway: RunningGateway, fields: Any, told: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping", **fields}
    assert said(await gateway.post(message), 400, -32600) == told


@pytest.mark.parametrize("messages", [[], [{"jsonrpc": "2.0", "id": 1, "method": "ping"}] * 2])
async def test_a_batch_is_told(gateway: RunningGateway, messages: Any) -> None:
    told = said(await gateway.post(json.dumps(messages).encode()), 400, -32600)
    assert told == "Batches are not supported; send one request at a time."


async def test_an_unknown_method_is_told_in_both_eras(gateway: RunningGateway) -> None:
    message = {"jsonrpc": "2.0", "id": 7, "method": "no/such"}
    response = await gateway.post(message)
    assert said(response, 404, -32601) == "There is no method 'no/such'."
    assert response.json()["id"] == 7
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    modern = await gateway.post(
        {**message, "params": {"_meta": meta}},
        **{**MODERN, "Mcp-Method": "no/such"},
    )
    said(modern, 404, -32601)


async def test_a_notification_is_accepted_without_an_answer(gateway: RunningGateway) -> None:
    response = await gateway.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (response.status_code, response.content) == (202, b"")


@pytest.mark.parametrize("request_id", [-1, 2**70, "☃", "\ud800", ""])
async def test_a_request_id_comes_back_as_it_was(gateway: RunningGateway, request_id: int | str) -> None:
    for method in ("ping", "tools/list", "no/such"):
        response = await gateway.post({"jsonrpc": "2.0", "id": request_id, "method": method})
        assert response.json()["id"] == request_id


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 64 * 1024):
        yield b" " * (64 * 1024)


@pytest.mark.parametrize("era", ["one-shot", "modern", "session"])
@pytest.mark.parametrize("length_is_told", [True, False])
async def test_a_body_that_is_too_long_is_told(gateway: RunningGateway, era: str, length_is_told: bool) -> None:
    headers = {"X-API-Key": gateway.key, "Content-Type": "application/json"}
    if era == "modern":
        headers |= MODERN
    if era == "session":
        headers |= {"Mcp-Session-Id": "none", "Accept": "application/json, text/event-stream"}
    content = b" " * (LIMIT + 1) if length_is_told else chunks(LIMIT + 64 * 1024)
    response = await gateway.http.post("/mcp", content=content, headers=headers)
    assert response.status_code == 413
    assert "Traceback" not in response.text
    if era == "one-shot":
        assert said(response, 413, -32600) == f"The body is longer than the {LIMIT} bytes it may have."


async def test_a_body_of_exactly_the_limit_is_read(gateway: RunningGateway) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
    response = await gateway.post(body + b" " * (LIMIT - len(body)))
    assert response.json()["result"] == {}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "HEAD"])
async def test_another_http_method_is_not_allowed(gateway: RunningGateway, method: str) -> None:
    response = await gateway.http.request(method, "/mcp", headers={"X-API-Key": gateway.key})
    assert response.status_code == 405


@pytest.mark.parametrize("path", ["/", "/mcp/more", "/nowhere"])
async def test_another_path_is_not_found(gateway: RunningGateway, path: str) -> None:
    assert (await gateway.http.post(path, json={})).status_code in (404, 405)


@pytest.mark.parametrize("headers", [{}, MODERN], ids=["one-shot", "modern"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"max_results": 0}, "max_results has to be a whole number from 1 to 50, not 0."),
        ({"max_results": -1}, "max_results has to be a whole number from 1 to 50, not -1."),
        ({"max_results": 51}, "max_results has to be a whole number from 1 to 50, not 51."),
        ({"max_results": "five"}, "max_results has to be a whole number from 1 to 50, not 'five'."),
        ({"max_results": True}, "max_results has to be a whole number from 1 to 50, not True."),
        ({"query": None}, "query is missing; say what the tool should do."),
        ({"query": 5}, "query has to be a string that says what the tool should do, not 5."),
        ({"query": " "}, "query has to be a string that says what the tool should do, not ' '."),
        ({"query": "x" * 4001}, "query has 4001 characters, more than the 4000 it may have."),
        ({"category": "cars"}, "category has to be one of messaging, "),
        ({"server": 5}, "server has to be the name of a server, not 5."),
        ({"server": "Nobody"}, "server 'Nobody' is none that you can use; leave it out to search all servers."),
        ({"server": "\ud800"}, "server '?' is none that you can use"),
        ({"detail": "some"}, "detail has to be auto, full or brief, not 'some'."),
        ({"quary": "x"}, "'quary' is no argument; there are category, detail, max_results, queries, query, server."),
        ({"queries": ["a"]}, "query and queries cannot be given together; give one of them."),
    ],
)
async def test_a_bad_argument_of_a_search_is_named(
    gateway: RunningGateway, headers: dict[str, str], arguments: dict[str, Any], told: str
) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "tool_search", "arguments": {"query": "x", **arguments}, **({"_meta": meta} if headers else {})}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    response = await gateway.post(message, **headers)
    assert response.status_code == 200
    result = response.json()["result"]
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith(told)


@pytest.mark.parametrize("queries", [[], "x", [1], [""], ["x"] * 9, {}])
async def test_bad_queries_are_told(gateway: RunningGateway, queries: Any) -> None:
    result = await gateway.call("tool_search", {"queries": queries})
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith("queries")


@pytest.mark.parametrize("query", ["\x00", "a\x00b", "\ud800", "';--", "%", "🧮" * 2000, "word " * 800, "<>&|!:*"])
async def test_any_text_may_be_searched_for(gateway: RunningGateway, query: str) -> None:
    result = await gateway.call("tool_search", {"query": query})
    assert result["isError"] is False
    assert json.loads(result["content"][0]["text"])["total_found"] in (0, 1)


@pytest.mark.parametrize(
    ("params", "status", "told"),
    [
        ({}, 400, "params.name has to be the name of a tool."),
        ({"name": 5}, 400, "params.name has to be the name of a tool."),
        ({"name": "tool_search", "arguments": []}, 400, "params.arguments has to be an object."),
        ({"name": "nothing"}, 400, 'There is no tool "nothing"; find the right name with tool_search.'),
        ({"name": "a\x00"}, 400, "There is no tool"),
        ({"name": "\ud800"}, 400, "There is no tool"),
        ({"name": "x" * 5000}, 400, "There is no tool"),
        ({"name": "Listed/none"}, 400, 'There is no tool "Listed/none"'),
    ],
)
async def test_a_bad_call_is_told(gateway: RunningGateway, params: Any, status: int, told: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    assert said(await gateway.post(message), status, -32602).startswith(told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "name has to be the name of a tool as tool_search gives it, not None."),
        ({"name": 5}, "name has to be the name of a tool as tool_search gives it, not 5."),
        ({"name": "listed__calculator", "arguments": "x"}, "arguments has to be an object, not 'x'."),
        ({"name": "tool_call"}, "tool_call is one of the gateway's own tools; call it directly."),
        ({"nome": "x"}, "'nome' is no argument of tool_call; there are name and arguments."),
    ],
)
async def test_a_bad_argument_of_tool_call_is_named(gateway: RunningGateway, arguments: Any, told: str) -> None:
    result = await gateway.call("tool_call", arguments)
    assert (result["isError"], result["content"][0]["text"]) == (True, told)


async def test_a_foreign_host_or_origin_is_refused(gateway: RunningGateway) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert said(await gateway.post(ping, Host="evil.example"), 421, -32600).startswith("The Host header")
    assert said(await gateway.post(ping, Origin="https://evil.example"), 403, -32600).startswith("The Origin header")
    for odd in (
        "http://[",
        "http://evil@localhost",
        "http://localhost/evil.example",
        "http://localhost\\@evil.example",
    ):
        assert said(await gateway.post(ping, Origin=odd), 403, -32600).startswith("The Origin header")
    assert (await gateway.post(ping, Origin="http://localhost:5173")).status_code == 200
