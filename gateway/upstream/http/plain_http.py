"""HTTP/1.1 without TLS, for servers on the same machine or network, at a third of the cost of the general transport.

The general one writes head and body apart, which wakes the server twice, and passes each through several layers: most
of the time of a call to a local server.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple, cast
from urllib.request import getproxies, proxy_bypass

import anyio
import httptools
import httpx2

from gateway.upstream.policy import ConnectionPolicy

_HIGH_WATER_BYTES = 256 * 1024
_MAX_HEAD_BYTES = 256 * 1024


class PlainHttpTransport(httpx2.AsyncBaseTransport):
    """A transport for `http://` addresses. At most `max_idle` connections wait `idle_seconds` to be reused.

    It connects where `policy` lets it; refusals are told in the name of `server`.
    """

    def __init__(
        self, connect_seconds: float, idle_seconds: float, max_idle: int, policy: ConnectionPolicy, server: str
    ) -> None:
        self._policy = policy
        self._server = server
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._max_idle = max_idle
        self._idle: deque[_IdleConnection] = deque()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme != "http":
            raise httpx2.UnsupportedProtocol(f"{request.url.scheme}:// is not plain HTTP")
        message = _encode_head(request) + await request.aread()
        origin = (request.url.host, request.url.port or 80)
        connection = self._take_idle(origin) or await self._connect(origin)
        try:
            connection.send(message)
            status, headers = await connection.read_head()
        except BaseException:
            connection.close()
            raise
        return httpx2.Response(status, headers=headers, stream=ResponseBody(self, origin, connection))

    async def aclose(self) -> None:
        while self._idle:
            self._idle.pop().connection.close()

    def release(self, origin: tuple[str, int], connection: HttpConnection) -> None:
        """Take back a connection whose response has been read."""
        if not connection.is_reusable or len(self._idle) >= self._max_idle:
            connection.close()
            return
        self._idle.append(_IdleConnection(time.monotonic() + self._idle_seconds, origin, connection))

    def _take_idle(self, origin: tuple[str, int]) -> HttpConnection | None:
        now = time.monotonic()
        while self._idle and (self._idle[0].until < now or not self._idle[0].connection.is_reusable):
            self._idle.popleft().connection.close()
        while self._idle:
            idle = self._idle.pop()
            if idle.origin == origin and idle.connection.is_reusable:
                return idle.connection
            idle.connection.close()
        return None

    async def _connect(self, origin: tuple[str, int]) -> HttpConnection:
        host, port = origin
        try:
            with anyio.fail_after(self._connect_seconds):
                addresses = await self._policy.resolve(self._server, host, port)
                return await self._connect_first(addresses, port)
        except TimeoutError:
            raise httpx2.ConnectTimeout("connecting took too long") from None
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from None

    async def _connect_first(self, addresses: list[str], port: int) -> HttpConnection:
        """A connection to the first of the addresses that takes one. Raises OSError where none does."""
        loop = asyncio.get_running_loop()
        failure = OSError("the host has no address")
        for address in addresses:
            try:
                return (await loop.create_connection(HttpConnection, address, port))[1]
            except OSError as error:
                failure = error
        raise failure


class ResponseBody(httpx2.AsyncByteStream):
    """The body of a response, read as it comes; closing it gives the connection back."""

    def __init__(self, transport: PlainHttpTransport, origin: tuple[str, int], connection: HttpConnection) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: HttpConnection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._connection is not None:
            chunk = await self._connection.read_chunk()
            if chunk is None:
                return
            yield chunk

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.release(self._origin, connection)


class HttpConnection(asyncio.Protocol):
    """One connection, on which one response at a time is awaited."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._wake: asyncio.Future[None] | None = None
        self._lost: Exception | None = None
        self._start()

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._has_head = False
        self._complete = False
        self._keeps_alive = False
        self._sent = False
        self._chunks: list[bytes] = []
        self._size = 0
        self._paused = False

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent: nothing is under way, and neither side has closed."""
        if self._lost is not None or self._transport is None or self._transport.is_closing():
            return False
        if not (self._complete and self._keeps_alive):
            return False
        # The server's goodbye may wait in the socket, unseen by the event loop.
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not waiting.poll(0)

    def send(self, message: bytes) -> None:
        """Send a request as one piece."""
        if self._transport is None or self._lost is not None:
            raise httpx2.WriteError("the connection has ended")
        self._start()
        self._sent = True
        self._transport.write(message)

    async def read_head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers of the response."""
        while not self._has_head:
            await self._wait_for_data()
        return self._parser.get_status_code(), self._headers

    async def read_chunk(self) -> bytes | None:
        """The next part of the body; None after the last."""
        while not self._chunks:
            if self._complete:
                return None
            if self._lost is not None and self._ends_with_connection():
                self._complete = True
                return None
            await self._wait_for_data()
        chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every event loop derives its transports from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._complete or not self._sent:
            self._abort(httpx2.RemoteProtocolError("the server spoke out of turn"))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._abort(httpx2.RemoteProtocolError(str(error)))
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._abort(httpx2.RemoteProtocolError("the head of the response is too large"))
        if self._size > _HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = self._lost or httpx2.ReadError(str(error) if error else "the server closed the connection")
        self._wake_reader()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            self._headers.clear()
        else:
            self._has_head = True

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)

    def on_message_complete(self) -> None:
        self._complete = self._has_head
        self._keeps_alive = self._parser.should_keep_alive()

    def _ends_with_connection(self) -> bool:
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    def _abort(self, error: Exception) -> None:
        self._lost = self._lost or error
        self.close()

    async def _wait_for_data(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _wake_reader(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class _IdleConnection(NamedTuple):
    until: float
    origin: tuple[str, int]
    connection: HttpConnection


def supports_url(url: httpx2.URL) -> bool:
    """Whether `url` is reached without TLS and without a proxy that the environment names."""
    return url.scheme == "http" and not (getproxies().get("http") and not proxy_bypass(url.host))


def _encode_head(request: httpx2.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [name + b": " + value for name, value in request.headers.raw]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise httpx2.LocalProtocolError("a header holds a line break")
    return head + b"\r\n\r\n"
