"""The bridge of `modelgate connect`, between lines and a server that misbehaves when told to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from gateway.bridge.bridge import Bridge
from gateway.upstream.spec import ServerSpec
from tests.bridge.session_server import SessionServer
from tests.upstream.conftest import serving

VERSION = "io.modelcontextprotocol/protocolVersion"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Client:
    """The two ends of a bridge."""

    def __init__(self, lines: MemoryObjectSendStream[bytes], said: MemoryObjectReceiveStream[dict[str, Any]]) -> None:
        self._lines = lines
        self._said = said
        self.left: list[dict[str, Any]] = []
        self.ended = anyio.Event()

    async def send(self, *messages: Any) -> None:
        for message in messages:
            await self._lines.send(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")

    async def next(self) -> dict[str, Any]:
        """The next message that is no notification."""
        with anyio.fail_after(10):
            while "method" in (message := await self._said.receive()):
                self.left.append(message)
            return message

    async def notification(self) -> dict[str, Any]:
        with anyio.fail_after(10):
            while "method" not in (message := await self._said.receive()):
                self.left.append(message)
            return message

    async def start(self) -> None:
        """Open a session."""
        await self.send(INITIALIZE)
        assert (await self.next())["id"] == 0
        await self.send(INITIALIZED)

    def close(self) -> None:
        self._lines.close()


@asynccontextmanager
async def bridged(url: str, connect_timeout: float = 10.0) -> AsyncIterator[Client]:
    spec = ServerSpec(
        0, 0, "ModelGate", "modelgate", "http", url=f"{url}/mcp", headers={}, connect_timeout=connect_timeout
    )
    feed, lines = anyio.create_memory_object_stream[bytes](100)
    tell, said = anyio.create_memory_object_stream[dict[str, Any]](10_000)

    async def read() -> bytes:
        try:
            return await lines.receive()
        except anyio.EndOfStream:
            return b""

    async def write(line: bytes) -> None:
        await tell.send(json.loads(line))

    client = Client(feed, said)

    async def run() -> None:
        await Bridge(spec, read, write).run()
        client.ended.set()

    with feed, lines, tell, said:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            yield client
            client.close()
            with anyio.move_on_after(15):
                await client.ended.wait()
            assert client.ended.is_set()


@pytest.fixture
async def server() -> SessionServer:
    return SessionServer()


def request(request_id: Any, name: str = "any") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": {"name": name, "arguments": {}}}


async def test_a_new_session_that_does_not_come_stops_neither_input_nor_end(server: SessionServer) -> None:
    async with serving(server.app()) as url, bridged(url) as client:
        await client.start()
        server.forget()
        server.hangs = True
        await client.send(request(1))
        await client.send(b"no json\n")
        assert (await client.next())["error"]["code"] == -32700
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        await client.send(cancelled)
        client.close()
        with anyio.fail_after(5):
            await client.ended.wait()


async def test_a_new_session_that_does_not_come_is_an_error_in_time_for_all_that_wait(server: SessionServer) -> None:
    async with serving(server.app()) as url, bridged(url, connect_timeout=2.0) as client:
        await client.start()
        server.forget()
        server.hangs = True
        begun = anyio.current_time()
        await client.send(*(request(number) for number in range(1, 6)))
        answers = [await client.next() for _ in range(5)]
        assert anyio.current_time() - begun < 8
        assert {answer["id"] for answer in answers} == {1, 2, 3, 4, 5}
        assert "opened no new session" in answers[0]["error"]["message"]
        server.hangs = False
        await client.send(request(6))
        assert (await client.next())["result"] == {"session": "2"}


async def test_a_request_under_the_id_of_one_in_flight_is_refused(server: SessionServer) -> None:
    async with serving(server.app()) as url, bridged(url) as client:
        await client.start()
        await client.send(request(1, "wait"))
        await server.waiting.wait()
        await client.send(request(1))
        refused = await client.next()
        assert refused["id"] == 1
        assert refused["error"]["code"] == -32600
        assert "1" in refused["error"]["message"]
        server.released.set()
        assert (await client.next())["result"] == {"session": "1"}
        await client.send(request(1))
        assert (await client.next())["result"] == {"session": "1"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"[]", None),
        (b"17", None),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', None),
        (b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', None),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}', None),
        (b'{"jsonrpc":"2.0","id":7,"method":9}', 7),
        (b'{"jsonrpc":"2.0","id":7}', 7),
        (b'{"id":7,"method":"ping"}', 7),
        (b"[" * 100_000, "parse"),
        (b'{"a":"\xff"}', "parse"),
    ],
)
async def test_what_is_no_message_is_refused_and_the_next_is_taken(
    server: SessionServer, line: bytes, told: object
) -> None:
    async with serving(server.app()) as url, bridged(url) as client:
        await client.start()
        await client.send(line + b"\n")
        refused = await client.next()
        assert refused["error"]["code"] == (-32700 if told == "parse" else -32600)
        assert refused["id"] == (None if told == "parse" else told)
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
        await client.send({**cancelled, "params": {"requestId": [1]}}, {**cancelled, "params": [1]}, cancelled)
        await client.send(request("still"))
        assert (await client.next())["id"] == "still"


async def test_calls_in_flight_when_the_session_is_forgotten_are_all_answered(server: SessionServer) -> None:
    async with serving(server.app()) as url, bridged(url) as client:
        await client.start()
        await client.send(request("slow", "wait"))
        await server.waiting.wait()
        server.forget()
        await client.send(*(request(number) for number in range(20)))
        answers = [await client.next() for _ in range(20)]
        assert {answer["result"]["session"] for answer in answers} == {"2"}
        server.released.set()
        assert (await client.next())["id"] == "slow"


async def test_what_was_asked_before_the_end_of_input_is_answered_before_the_end(server: SessionServer) -> None:
    async with serving(server.app()) as url, bridged(url) as client:
        await client.send(INITIALIZE, INITIALIZED, request(1, "wait"), request(2))
        client.close()
        await server.waiting.wait()
        server.released.set()
        answers = [await client.next() for _ in range(3)]
        assert {answer["id"] for answer in answers} == {0, 1, 2}
        with anyio.fail_after(5):
            await client.ended.wait()


async def test_messages_sent_before_the_session_is_open_belong_to_it(server: SessionServer) -> None:
    async with serving(server.app()) as url, bridged(url) as client:
        await client.send(INITIALIZE, INITIALIZED, request(1))
        assert [(await client.next())["id"] for _ in range(2)] == [0, 1]
        assert server.heard("notifications/initialized")[0][0] == "1"
        assert server.heard("tools/call")[0][0] == "1"


async def test_a_forgotten_session_is_opened_anew_by_itself_with_what_the_client_had_asked_of_it(
    server: SessionServer,
) -> None:
    def resource(request_id: int, method: str, uri: str) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": request_id, "method": f"resources/{method}", "params": {"uri": uri}}

    async with serving(server.app()) as url, bridged(url) as client:
        await client.start()
        assert (await client.notification())["params"]["data"] == "hello"
        level = {"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": {"level": "warning"}}
        await client.send(level, resource(2, "subscribe", "a:1"), resource(3, "subscribe", "a:2"))
        await client.send(resource(4, "unsubscribe", "a:1"))
        for _ in range(4):
            await client.next()
        server.forget()
        # The greeting of the second session.
        assert (await client.notification())["params"]["data"] == "hello"
        await client.send(request(5))
        assert (await client.next()) == {"jsonrpc": "2.0", "id": 5, "result": {"session": "2"}}
        again = [message["params"] for session, message in server.said if session == "2" and "params" in message]
        assert {"level": "warning"} in again
        assert {"uri": "a:2"} in again
        assert {"uri": "a:1"} not in again


async def test_a_notification_that_the_gateway_never_takes_holds_up_what_comes_after_it_for_a_moment_only(
    server: SessionServer,
) -> None:
    async with serving(server.app()) as url, bridged(url, connect_timeout=2.0) as client:
        await client.start()
        await client.send(request("before"))
        assert (await client.next())["id"] == "before"
        server.hangs = True
        await client.send({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
        await anyio.wait_all_tasks_blocked()
        server.hangs = False
        await client.send(request("after"))
        assert (await client.next())["id"] == "after"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "\ud800"}),
        ("ツール", {}),
        ("tools/list\r\nX-Other: 1", {}),
        ("\ud800", {}),
        ("tools/list", {"_meta": {VERSION: "ツ"}}),
        ("tools/list", {"_meta": {VERSION: "2026-07-28\r\nX-Other: 1"}}),
        ("tools/list", {"_meta": {VERSION: "\ud800"}}),
    ],
)
async def test_what_no_header_can_say_befalls_its_request_alone(
    server: SessionServer, method: str, params: dict[str, Any]
) -> None:
    params = {"_meta": {VERSION: "2026-07-28"}, **params}
    async with serving(server.app()) as url, bridged(url) as client:
        await client.start()
        await client.send({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = await client.next()
        # What is only named in a header, too, goes without it.
        assert (answer["id"], "error" in answer) == (1, "name" not in params)
        await client.send({"jsonrpc": "2.0", "id": 2, "method": "ping"})
        assert (await client.next())["id"] == 2
