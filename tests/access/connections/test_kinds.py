"""What lets a person in, kind by kind, and by whose connection a server is listed."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway.access.connections.secret import read_secret
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.tuning import Tuning
from gateway.components import Components, open_components
from gateway.errors import ConnectionNeededError, InvalidInputError
from gateway.settings import Settings
from gateway.upstream.credentials.credential import Bearer
from gateway.upstream.credentials.personal import (
    CurrentCredential,
    PersonalHeader,
    PersonalKind,
    PersonalSecret,
    PersonCredential,
    check_personal,
)
from gateway.upstream.spec import ServerSpec
from tests.access.connections.conftest import PersonalWorld, Somebody, add_personal_server
from tests.doubles.personal_server import PersonalServer
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until

STDIO_SERVER = """
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, result = message["method"], {}
    if method == "initialize":
        server = {"name": "notes", "version": "1"}
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": server}
    elif method == "tools/list":
        result = {"tools": [{"name": "whoami", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": os.environ.get("NOTES_TOKEN", "nobody")}]}
    elif method == "server/discover":
        error = {"code": -32601, "message": "no"}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


@pytest.fixture
async def api_key_server() -> AsyncIterator[PersonalServer]:
    async with PersonalServer(header="x-user-token", scheme="").running() as running:
        yield running


async def call(gateway: RunningGateway, somebody: Somebody, **headers: str) -> str:
    params = {"name": "tracker__whoami", "arguments": {}}
    answer = await gateway.request("tools/call", params, **{"X-API-Key": somebody.key, **headers})
    text: str = answer["result"]["content"][0]["text"]
    return text


async def test_what_a_trusted_proxy_adds_is_passed_on_and_no_two_values_share_a_session(
    settings: Settings, api_key_server: PersonalServer
) -> None:
    server = api_key_server
    server.persons |= {"first": "ann", "second": "ben"}
    trusting = replace(settings, server=replace(settings.server, trusted_proxies=("127.0.0.1",)))
    async with open_components(trusting) as parts, running_gateway(parts) as gateway:
        world = await add_personal_server(gateway, server, PersonalHeader("X-Sso-Token", "X-User-Token"))
        # One key for all, behind the proxy.
        proxy = await world.add_somebody("proxy")
        assert "this request came without it" in await call(gateway, proxy)
        assert await call(gateway, proxy, **{"X-Sso-Token": "first"}) == "whoami as ann"
        assert await call(gateway, proxy, **{"X-Sso-Token": "second"}) == "whoami as ben"
        # One is the client's, and nobody knows which.
        twice = [("X-API-Key", proxy.key), ("X-Sso-Token", "first"), ("x-sso-token", "second")]
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "tracker__whoami"}}
        refused = await gateway.http.post("/mcp", json=message, headers=twice)
        assert "this request came without it" in refused.json()["result"]["content"][0]["text"]
        assert "does not take what your company's proxy added" in await call(gateway, proxy, **{"X-Sso-Token": "third"})
        assert len(parts.pool.person_sessions()) >= 2
        assert server.shared_sessions == []


async def test_what_anybody_adds_is_passed_on_to_nobody(
    gateway: RunningGateway, api_key_server: PersonalServer
) -> None:
    api_key_server.persons["first"] = "ann"
    world = await add_personal_server(gateway, api_key_server, PersonalHeader("X-Sso-Token", "X-User-Token"))
    somebody = await world.add_somebody("somebody")
    said = await call(gateway, somebody, **{"X-Sso-Token": "first"})
    assert "this request came without it" in said
    assert not any(request.token == "first" for request in api_key_server.seen)


async def test_user_and_password_are_sent_as_basic_authorization(gateway: RunningGateway) -> None:
    pair = base64.b64encode(b"ann:pass word").decode()
    async with PersonalServer(scheme="Basic ").running() as server:
        server.persons[pair] = "ann"
        world = await add_personal_server(gateway, server, PersonalSecret(basic=True))
        ann = await world.add_somebody("ann")
        given = {"username": "ann", "password": "pass word"}
        secret, subject = read_secret(PersonalSecret(basic=True), given)
        await gateway.parts.connections.connect(ann.person, world.server_id, "secret", secret, subject=subject)
        assert await world.says(ann) == "whoami as ann"
        listed = await gateway.parts.connections.of_person(world.tenant_id, ann.person.id)
        assert [(each.subject, "pass word" in repr(each)) for each in listed] == [("ann", False)]


async def test_user_and_password_in_the_address_are_for_listing_and_let_no_person_in(gateway: RunningGateway) -> None:
    async with PersonalServer().running() as server:
        pair = f"Basic {base64.b64encode(b'ours:pw').decode()}"
        server.persons = {pair: "the gateway"}
        parts = gateway.parts
        url = server.url.replace("http://", "http://ours:pw@")
        server_id = await parts.servers.add(1, ServerDefinition("Tracker", "http", url=url))
        await parts.servers.set_personal(1, server_id, PersonalSecret())
        await parts.sync.run(1, server_id)
        world = PersonalWorld(gateway, server, server_id, 1)
        ann = await world.add_somebody("ann")
        await world.connect(ann, "of ann")
        assert await world.says(ann) == "whoami as ann"
        assert server.calls_of(pair) == 0


@pytest.mark.parametrize("name", ["PRIVATE-TOKEN", "X-Auth-Token", "X-Api-Key", "apikey", "X-Access-Key-Id"])
async def test_a_header_of_the_server_that_lets_in_is_for_listing_and_lets_no_person_in(
    gateway: RunningGateway, name: str
) -> None:
    async with PersonalServer(header=name.lower(), scheme="").running() as server:
        server.persons = {"ours": "the gateway"}
        parts = gateway.parts
        definition = ServerDefinition("Tracker", "http", url=server.url, headers={name: "ours", "X-Monkey": "1"})
        server_id = await parts.servers.add(1, definition)
        await parts.servers.set_personal(1, server_id, PersonalSecret())
        await parts.sync.run(1, server_id)
        spec = (await parts.servers.spec(1, server_id)).for_person(CurrentCredential(PersonCredential("person")))
        assert spec.headers == {"X-Monkey": "1"}
        world = PersonalWorld(gateway, server, server_id, 1)
        ann = await world.add_somebody("ann")
        await world.connect(ann, "of ann")
        assert await world.says(ann) == "whoami as ann"
        assert server.calls_of("ours") == 0


async def test_each_person_has_a_process_of_a_stdio_server_with_their_own_variable(
    gateway: RunningGateway, tmp_path: Any
) -> None:
    script = tmp_path / "notes.py"
    script.write_text(STDIO_SERVER)
    parts = gateway.parts
    server_id = await parts.servers.add(
        1,
        ServerDefinition("Tracker", "stdio", command=sys.executable, args=(str(script),), env={"NOTES_TOKEN": "ours"}),
    )
    await parts.servers.set_personal(1, server_id, PersonalSecret("env", "NOTES_TOKEN", "{secret}"))
    await parts.sync.run(1, server_id)
    world = PersonalWorld(gateway, PersonalServer(), server_id, 1)
    ann, ben = await world.add_somebody("ann"), await world.add_somebody("ben")
    await world.connect(ann, "of ann")
    await world.connect(ben, "of ben")
    assert [await call(gateway, each) for each in (ann, ben, ann)] == ["of ann", "of ben", "of ann"]


async def test_a_server_is_listed_by_the_connection_of_a_person_who_agreed(gateway: RunningGateway) -> None:
    async with PersonalServer(persons={}).running() as server:
        parts = gateway.parts
        world = None
        with pytest.raises(Exception, match="lists nothing for its own credential"):
            world = await add_personal_server(gateway, server, PersonalSecret())
        assert world is None
        spec = await parts.servers.spec(1, 1)
        world = PersonalWorld(gateway, server, spec.id, 1)
        ann = await world.add_somebody("ann")
        await world.connect(ann, "token-of-ann")
        await parts.servers.set_personal(1, spec.id, PersonalSecret(), ann.person.id)
        with pytest.raises(ConnectionNeededError, match="has not agreed"):
            await parts.sync.run(1, spec.id)
        await parts.connections.agree_to_listing(1, ann.person.id, spec.id, True)
        assert len((await parts.sync.run(1, spec.id)).added) == 2
        # Nobody may call as her for that.
        ben = await world.add_somebody("ben")
        assert "You have not connected Tracker" in await world.says(ben)


async def test_searches_find_the_tools_and_say_that_they_need_a_connection(gateway: RunningGateway) -> None:
    async with PersonalServer().running() as server:
        world = await add_personal_server(gateway, server, PersonalSecret())
        ann = await world.add_somebody("ann")

        async def needs() -> list[Any]:
            params = {"name": "tool_search", "arguments": {"query": "tracker whoami", "detail": "brief"}}
            answer = await gateway.request("tools/call", params, **{"X-API-Key": ann.key})
            tools = json.loads(answer["result"]["content"][0]["text"])["tools"]
            return [tool["_metadata"].get("needs") for tool in tools if tool["name"] == "tracker__whoami"]

        assert await needs() == ["connection"]
        await world.connect(ann, "token-of-ann")
        assert await needs() == [None]
        await gateway.parts.connections.disconnect(1, ann.person.id, world.server_id)
        assert await needs() == ["connection"]


@pytest.mark.parametrize(
    ("kind", "transport", "said"),
    [
        (PersonalHeader("Authorization", "X-Token"), "http", "never passed on"),
        (PersonalHeader("Cookie", "X-Token"), "http", "never passed on"),
        (PersonalHeader("X Token", "X-Token"), "http", "not the name of an HTTP header"),
        (PersonalHeader("X-Token", "Host"), "http", "the protocol's own"),
        (PersonalSecret("header", "Content-Length", "{secret}"), "http", "the protocol's own"),
        (PersonalHeader("X-Token", "X-Token"), "stdio", "variable only"),
        (PersonalSecret("env", "TOKEN", "{secret}"), "http", "a header or a query parameter"),
        (PersonalSecret("header", "X-Key", "{secret}"), "stdio", "a variable"),
        (PersonalSecret("header", "X-Key", "none"), "http", "has to hold"),
        (PersonalSecret("header", "X-Key", "{secret}", basic=True), "http", "in the header Authorization"),
    ],
)
def test_what_could_never_work_is_refused(kind: PersonalKind, transport: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        check_personal(kind, transport)


@pytest.mark.parametrize("given", [{}, {"secret": " "}, {"secret": "a\nb"}, {"secret": "ä"}, {"secret": "x" * 20_000}])
def test_what_could_never_be_sent_is_refused_when_it_is_given(given: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        read_secret(PersonalSecret(), given)


def test_nothing_that_lets_in_the_gateway_itself_is_in_a_session_of_a_person() -> None:
    headers = {"Authorization": "Bearer ours", "X-Api-Key": "ours", "Cookie": "ours", "X-Version": "2"}
    spec = ServerSpec(1, 1, "Tracker", "tracker", "http", headers=headers, credential=Bearer("ours"), env={"A": "b"})
    credential = PersonCredential("person-1-2-1-x", query={"key": "theirs"})
    opened = spec.for_person(CurrentCredential(credential))
    assert (dict(opened.headers), opened.credential) == ({"X-Version": "2"}, None)
    assert "theirs" not in repr(opened) + repr(credential)


async def test_clients_of_one_person_have_sessions_of_their_own_where_the_server_wants_that_and_all_end_together(
    gateway: RunningGateway,
) -> None:
    async with PersonalServer(era="handshake").running() as server, contextlib.AsyncExitStack() as stack:
        parts = gateway.parts
        world = await add_personal_server(gateway, server, PersonalSecret())
        await parts.servers.set_tuning(1, world.server_id, Tuning(session="per_client"))
        ann = await world.add_somebody("ann")
        await world.connect(ann, "token-of-ann")
        for _ in range(2):
            headers = {"Authorization": f"Bearer {ann.key}"}
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=30))
            transport = streamable_http_client(gateway.mcp, http_client=http)
            client = await stack.enter_async_context(Client(transport, mode="legacy", cache=None))
            result = await client.call_tool("tracker__whoami", {})
            assert result.content[0].text == "whoami as ann"  # type: ignore[union-attr]
        assert list(server.sessions.values()).count("ann") == 2
        await parts.connections.disconnect(1, ann.person.id, world.server_id)
        await until(lambda: "ann" not in server.sessions.values())


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PYTHONPATH", "NODE_OPTIONS", "PATH"])
async def test_no_person_says_what_program_runs(parts: Components, name: str) -> None:
    server_id = await parts.servers.add(1, ServerDefinition("Notes", "stdio", command=sys.executable))
    with pytest.raises(InvalidInputError, match="another program might run"):
        await parts.servers.set_personal(1, server_id, PersonalSecret("env", name, "{secret}"))
    await parts.servers.set_personal(1, server_id, PersonalSecret("env", "NOTES_TOKEN", "{secret}"))
