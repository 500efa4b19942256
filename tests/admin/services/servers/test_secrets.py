"""Secrets of servers: used towards the server, and found nowhere else."""

from __future__ import annotations

import base64
import json
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.admin.conftest import Person
from tests.doubles.oauth_server import OAuthServer
from tests.support.gateway import RunningGateway
from tests.support.rows import rows
from tests.support.waiting import until
from tests.upstream.conftest import serving

SECRET = "s3cret-that-nobody-may-see"
BASIC = base64.b64encode(f"me:{SECRET}".encode()).decode()
PAGES = ("/servers", "/servers/{id}", "/servers/{id}/log", "/servers/{id}/versions", "/tools", "/audit", "/overview")


class Locked:
    """An MCP server that lets in whoever shows one header, and is out of order for calls of `broken`."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/mcp", self._post, methods=["POST"])])

    async def _post(self, request: Request) -> Response:
        if request.headers.get(self._name) != self._value:
            return JSONResponse({"error": "who are you?"}, 401)
        message = await request.json()
        if message["method"] == "server/discover":
            result: dict[str, Any] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("fine", "broken")]}
        elif message["params"]["name"] == "broken":
            return Response(f"{request.headers[self._name]} broke it", 500)
        else:
            result = {"content": [{"type": "text", "text": "open"}]}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": {"resultType": "complete", **result}})


async def everything(gateway: RunningGateway, people: list[Person], server_id: int, url: str) -> str:
    """All that people can read about a server, and all that is in the database."""
    found = []
    for person in people:
        for page in PAGES:
            answer = await person.get(page.format(id=server_id))
            assert answer.status_code == 200 or (page.endswith("/log") and answer.status_code == 403), answer.text
            found.append(answer.text)
        for page in (f"/servers/{server_id}", "/servers", "/audit"):
            found.append((await person.http.get(page)).text)
    await until(lambda: gateway.parts.recorder.state().waiting == 0)
    tables = await rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        found += [row[0] for row in await rows(url, f'SELECT t::text FROM "{table[0]}" t')]
    return "\n".join(found)


@pytest.mark.parametrize(
    ("header", "value", "given"),
    [
        ("x-key", SECRET, {"headers": {"X-Key": SECRET}}),
        ("authorization", f"Bearer {SECRET}", {"credential": {"kind": "bearer", "token": SECRET}}),
        (
            "authorization",
            f"Basic {BASIC}",
            {"credential": {"kind": "basic", "username": "me", "password": SECRET}},
        ),
    ],
)
async def test_a_secret_of_a_url_opens_it_and_is_told_to_nobody(
    gateway: RunningGateway,
    admin: Person,
    viewer: Person,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
    header: str,
    value: str,
    given: dict[str, Any],
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(Locked(header, value).app()) as url:
        new = {"name": "Locked", "transport": "http", "url": f"{url}/mcp", **given}
        added = await admin.post("/servers", new)
        assert added.status_code == 201
        server_id = added.json()["card"]["id"]
        await gateway.parts.sync.run(1, server_id)
        assert (await gateway.call("locked__fine"))["content"][0]["text"] == "open"
        broken = await gateway.call("locked__broken")
        assert "HTTP status 500" in broken["content"][0]["text"]
        said = await everything(gateway, [admin, viewer], server_id, database_url) + str(broken) + added.text
    for secret in (SECRET, BASIC):
        assert secret not in said
        assert secret not in caplog.text


async def test_a_client_secret_and_the_tokens_that_it_brings_are_told_to_nobody(
    gateway: RunningGateway, admin: Person, viewer: Person, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with OAuthServer().running() as oauth:
        wanted = {"client_id": "machine", "client_secret": "s3cret/+", "issuer": f"{oauth.url}/as"}
        new = {"name": "Vault", "transport": "http", "url": f"{oauth.url}/mcp"}
        added = await admin.post("/servers", {**new, "credential": {"kind": "oauth_client_credentials", **wanted}})
        server_id = added.json()["card"]["id"]
        await gateway.parts.sync.run(1, server_id)
        assert "for your eyes only" in str(await gateway.call("vault__secret"))
        said = await everything(gateway, [admin, viewer], server_id, database_url) + added.text
    assert oauth.access_tokens
    for secret in ("s3cret/+", "s3cret%2F%2B", *oauth.access_tokens):
        assert secret not in said
        assert secret not in caplog.text


async def test_a_variable_that_a_command_writes_to_its_log_is_masked_there(
    gateway: RunningGateway,
    admin: Person,
    viewer: Person,
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    script = tmp_path / "server.py"
    script.write_text(
        "import os, sys\nfor out in (sys.stderr, sys.stdout):\n"
        "    print('token is', os.environ['TOKEN'], 'mode', os.environ['MODE'], file=out, flush=True)\nexit(3)"
    )
    new = {"name": "Loud", "transport": "stdio", "command": sys.executable, "args": [str(script)]}
    added = await admin.post("/servers", {**new, "env": {"TOKEN": SECRET, "MODE": "test"}})
    server_id = added.json()["card"]["id"]
    await admin.post(f"/servers/{server_id}/check")
    log = (await admin.get(f"/servers/{server_id}/log")).text
    assert "token is ******** mode test" in log
    said = await everything(gateway, [admin, viewer], server_id, database_url) + added.text
    assert "'token is ******** mode test'" in said
    assert SECRET not in said
    assert SECRET not in caplog.text


class Collector:
    """A server somewhere else, which keeps what it is sent."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._hear, methods=["GET", "POST"])])

    async def _hear(self, request: Request) -> Response:
        self.heard.append(dict(request.headers))
        return JSONResponse({"error": "thank you"}, 500)


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    async with serving(collector.app()) as url:
        yield collector, url


LOCKED = {"headers": {"X-API-Key": SECRET}, "credential": {"kind": "bearer", "token": SECRET}}


async def test_what_was_stored_for_one_origin_is_never_sent_to_another(
    admin: Person, elsewhere: tuple[Collector, str]
) -> None:
    collector, url = elsewhere
    new = {"name": "Locked", "transport": "http", "url": "http://127.0.0.1:9/mcp", **LOCKED}
    server_id = (await admin.post("/servers", new)).json()["card"]["id"]
    change = {"url": f"{url}/mcp", "headers": {"X-API-Key": None}}
    await admin.post("/servers/test", {"server_id": server_id, "change": change})
    changed = (await admin.patch(f"/servers/{server_id}", change)).json()
    assert (changed["header_names"], changed["card"]["credential"]) == ([], "none")
    await admin.post(f"/servers/{server_id}/check")
    assert len(collector.heard) >= 2
    assert SECRET not in str(collector.heard)
    # Back where it was, nothing has come back.
    back = (await admin.patch(f"/servers/{server_id}", {"url": "http://127.0.0.1:9/mcp"})).json()
    assert (back["header_names"], back["card"]["credential"]) == ([], "none")


async def test_what_is_given_again_with_a_new_origin_goes_there(
    admin: Person, elsewhere: tuple[Collector, str]
) -> None:
    collector, url = elsewhere
    new = {"name": "Locked", "transport": "http", "url": "http://127.0.0.1:9/mcp", **LOCKED}
    server_id = (await admin.post("/servers", new)).json()["card"]["id"]
    await admin.patch(f"/servers/{server_id}", {"url": f"{url}/mcp", "headers": {"X-API-Key": "given again"}})
    await admin.post(f"/servers/{server_id}/check")
    assert {heard["x-api-key"] for heard in collector.heard} == {"given again"}


@pytest.mark.parametrize("moved", ["https://127.0.0.1:9/mcp", "http://127.0.0.1:10/mcp", "http://localhost:9/mcp"])
async def test_another_scheme_host_or_port_is_another_origin_and_another_path_is_not(admin: Person, moved: str) -> None:
    new = {"name": "Locked", "transport": "http", "url": "http://127.0.0.1:9/mcp", **LOCKED}
    server_id = (await admin.post("/servers", new)).json()["card"]["id"]
    same = (await admin.patch(f"/servers/{server_id}", {"url": "http://127.0.0.1:9/v2"})).json()
    assert (same["header_names"], same["card"]["credential"]) == (["X-API-Key"], "bearer")
    changed = (await admin.patch(f"/servers/{server_id}", {"url": moved})).json()
    assert (changed["header_names"], changed["card"]["credential"]) == ([], "none")


def _document(url: str) -> str:
    operation = {"operationId": "look", "responses": {"200": {"description": "fine"}}}
    info = {"title": "Pets", "version": "1"}
    return json.dumps(
        {"openapi": "3.1.0", "info": info, "servers": [{"url": url}], "paths": {"/p": {"get": operation}}}
    )


@pytest.mark.parametrize("how", ["document", "document_url"])
async def test_a_document_that_says_that_the_api_is_elsewhere_takes_no_secrets_along(admin: Person, how: str) -> None:
    new = {"name": "Pets", "transport": "openapi", "document": _document("https://pets.example"), **LOCKED}
    server_id = (await admin.post("/servers", new)).json()["card"]["id"]
    same = await admin.patch(f"/servers/{server_id}", {"document": _document("https://pets.example/v2")})
    assert (same.json()["header_names"], same.json()["card"]["credential"]) == (["X-API-Key"], "bearer")
    moved = _document("https://evil.example") if how == "document" else "https://evil.example/openapi.json"
    changed = (await admin.patch(f"/servers/{server_id}", {how: moved})).json()
    assert (changed["header_names"], changed["card"]["credential"]) == ([], "none")
