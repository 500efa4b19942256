"""What clients may leave unfinished, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.edge.refusals import Refusals
from gateway.edge.server_config import server_config
from gateway.settings import ServerSettings
from tests.support.serving import open_port, serving_config
from tests.support.waiting import until

HEAD = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\nhi"
QUICK = ServerSettings(head_seconds=0.2)
# For what begins with a whole head or request, which may take a moment to come.
SOON = ServerSettings(head_seconds=0.6, body_seconds=0.6)
PATIENT = ServerSettings(head_seconds=60, body_seconds=60)


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers with the length of the body, the bodies that it gave up on, and what it turned away."""

    port: int
    left: list[str]
    refusals: Refusals

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def answer_to(self, *parts: bytes) -> bytes:
        """All that comes back until the connection ends."""
        async with self.connected() as (reader, writer):
            for part in parts:
                writer.write(part)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
            with anyio.fail_after(10):
                return await _read_all(reader)


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    read = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            read += chunk
    return read


@contextlib.asynccontextmanager
async def served(settings: ServerSettings) -> AsyncIterator[Served]:
    left: list[str] = []
    refusals = Refusals()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/unread":
            await PlainTextResponse("no", 401)(scope, receive, send)
            return
        if scope["path"] == "/slow":
            await asyncio.sleep(1.5)
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            left.append(scope["path"])
            return
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    with open_port() as (listening, url):
        config: uvicorn.Config = server_config(application, settings, 1, refusals)
        async with serving_config(listening, config):
            yield Served(int(url.rpartition(":")[2]), left, refusals)


async def test_a_whole_request_is_answered_and_its_connection_kept() -> None:
    async with served(PATIENT) as server, server.connected() as (reader, writer):
        for _ in range(3):
            writer.write(WHOLE)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(1) == b"2"


@pytest.mark.parametrize("begun", [b"", b"POST", HEAD, HEAD + b"X-Long: " + b"a" * 1000, b"\r\n\r\n"])
async def test_a_head_that_does_not_come_ends_its_connection(begun: bytes) -> None:
    async with served(QUICK) as server:
        answer = await server.answer_to(begun) if begun else await server.answer_to()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert server.refusals.counts["too_slow"] == 1


@pytest.mark.parametrize("after", [HEAD, b"\r\n"])
async def test_neither_does_half_of_the_next_head_nor_a_line_end_keep_a_connection(after: bytes) -> None:
    async with served(SOON) as server, server.connected() as (reader, writer):
        writer.write(WHOLE)
        await reader.readuntil(b"\r\n\r\n2")
        writer.write(after)
        with anyio.fail_after(10):
            assert (await _read_all(reader)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "begun", [HEAD + b"Content-Length: 100\r\n\r\nhalf", HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_a_body_that_does_not_come_ends_its_connection_and_its_request(begun: bytes) -> None:
    async with served(SOON) as server:
        assert (await server.answer_to(begun)).startswith(b"HTTP/1.1 408 ")
        assert server.left == ["/x"]


async def test_a_body_that_nobody_reads_is_not_waited_for_either() -> None:
    async with served(SOON) as server:
        answer = await server.answer_to(HEAD.replace(b"/x", b"/unread") + b"Content-Length: 100\r\n\r\nhalf")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"408" not in answer


async def test_a_call_that_takes_long_is_not_what_is_waited_for() -> None:
    async with served(SOON) as server, server.connected() as (reader, writer):
        writer.write(WHOLE.replace(b"/x", b"/slow"))
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")


async def test_a_body_that_the_gateway_does_not_read_yet_is_waited_for() -> None:
    body = b"x" * 1_000_000
    async with served(SOON) as server, server.connected() as (reader, writer):
        writer.write(HEAD.replace(b"/x", b"/slow") + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(7) == b"1000000"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 400_000,
        HEAD + b"X-Long: " + b"a" * 400_000,
        HEAD + b"".join(b"X-%d: 1\r\n" % number for number in range(40_000)),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: " + b"a" * 1_000_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 1_000_000,
    ],
)
async def test_a_head_that_is_too_long_is_not_read_on(head: bytes) -> None:
    pieces = [head[start : start + 16_384] for start in range(0, len(head), 16_384)]
    async with served(PATIENT) as server:
        answer = await server.answer_to(*pieces)
        # Where the refusal is lost with the connection, that ended it is what counts.
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


async def test_small_chunks_are_taken() -> None:
    chunks = b"1\r\nx\r\n" * 50_000
    async with served(PATIENT) as server, server.connected() as (reader, writer):
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")


async def test_an_address_has_so_many_connections_and_gets_others_as_those_end() -> None:
    settings = ServerSettings(max_connections_per_address=2)
    async with served(settings) as server, server.connected() as (_, first):
        async with server.connected() as (reader, writer):
            writer.write(WHOLE)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert (await server.answer_to()).startswith(b"HTTP/1.1 429 ")
            first.close()
            await first.wait_closed()
        last = WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

        async def is_answered() -> bool:
            return (await server.answer_to(last)).startswith(b"HTTP/1.1 200 ")

        await until(is_answered)


async def test_a_trusted_proxy_has_as_many_connections_as_it_needs() -> None:
    settings = ServerSettings(max_connections_per_address=1, trusted_proxies=("127.0.0.1",))
    async with served(settings) as server, server.connected(), server.connected() as (reader, writer):
        writer.write(WHOLE)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
