"""A URL that may speak either HTTP transport: streamable HTTP is tried first, as the specification says.

https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import TaskGroup

from gateway.errors import UpstreamError, UpstreamHttpError
from gateway.json_codec import Message
from gateway.upstream.http.server_client import ServerHttpClient
from gateway.upstream.oauth.token_auth import oauth_token_auth
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import MessageSink, Transport
from gateway.upstream.transports.http_sse import HttpSseTransport
from gateway.upstream.transports.streamable_http import open_streamable_http

# Of the time to connect, for the first event.
_SHARE = 0.4
# These speak of who asks, or of how often: the endpoint is the right one.
_NO_FALLBACK = (401, 402, 403, 407, 408, 429)


class SseFallbackTransport:
    """A `Transport` over streamable HTTP, or over HTTP+SSE once the handshake was refused."""

    def __init__(self, streamable: Transport, fallback: SseFallback) -> None:
        self._streamable = streamable
        self._fallback = fallback

    @property
    def _current(self) -> Transport:
        return self._fallback.transport or self._streamable

    async def wait_ready(self) -> None:
        await self._streamable.wait_ready()

    async def send(self, message: Message, headers: Mapping[str, str]) -> None:
        if message.get("method") == "initialize":
            self._fallback.handshake = (message, headers)
        await self._current.send(message, headers)

    async def cancel(self, request_id: int, reason: str) -> None:
        await self._current.cancel(request_id, reason)

    @property
    def has_session(self) -> bool:
        return self._current.has_session

    async def set_protocol_version(self, version: str) -> None:
        await self._current.set_protocol_version(version)

    def non_mcp_output(self) -> str | None:
        return self._current.non_mcp_output()

    def stderr(self) -> str:
        return ""


class SseFallback:
    """The sink of the streamable transport, which hears that the handshake was refused, and then tries the other one.

    Until that is open, what it says of itself is its own: the refusal stands where it does not open.
    """

    def __init__(self, spec: ServerSpec, sink: MessageSink, max_message_bytes: int) -> None:
        self._spec = spec
        self._sink = sink
        self._tasks: TaskGroup | None = None
        self._max_message_bytes = max_message_bytes
        self._http: ServerHttpClient | None = None
        self.transport: HttpSseTransport | None = None
        self.handshake: tuple[Message, Mapping[str, str]] | None = None

    def attach(self, tasks: TaskGroup) -> None:
        """Run what has to be tried in `tasks`; nothing is before."""
        self._tasks = tasks

    def message_received(self, message: object, related_id: int | None = None) -> bool:
        return self._sink.message_received(message, related_id)

    def request_failed(self, request_id: int, error: UpstreamError) -> None:
        if self.transport is None and self.handshake is not None and self.handshake[0]["id"] == request_id:
            handshake, self.handshake = self.handshake, None
            tasks = self._tasks
            if tasks is not None and isinstance(error, UpstreamHttpError) and _may_be_sse(error.status):
                tasks.start_soon(self._try_sse, tasks, *handshake, error)
                return
        self._sink.request_failed(request_id, error)

    def session_doubted(self) -> None:
        self._sink.session_doubted()

    def connection_closed(self, error: UpstreamError) -> None:
        self._sink.connection_closed(error)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def _try_sse(
        self, tasks: TaskGroup, message: Message, headers: Mapping[str, str], refusal: UpstreamHttpError
    ) -> None:
        trial = _Trial(self._sink)
        self._http = ServerHttpClient(self._spec, self._max_message_bytes, oauth_token_auth(self._spec))
        transport = HttpSseTransport(self._spec, self._http, trial, tasks)
        tasks.start_soon(transport.read)
        # A stream that does not begin as this transport's do is another kind of stream.
        with anyio.move_on_after(self._spec.connect_timeout * _SHARE), suppress(UpstreamError):
            await transport.wait_ready()
            self.transport = transport
        if self.transport is None:
            self._sink.request_failed(message["id"], refusal)
            return
        trial.established = True
        try:
            await transport.send(message, headers)
        except UpstreamError as error:
            self._sink.request_failed(message["id"], error)


def _may_be_sse(status: int) -> bool:
    return 400 <= status < 500 and status not in _NO_FALLBACK


class _Trial:
    """A sink that keeps the end of a connection to itself until there is one."""

    def __init__(self, sink: MessageSink) -> None:
        self._sink = sink
        self.established = False

    def message_received(self, message: object, related_id: int | None = None) -> bool:
        return self._sink.message_received(message, related_id)

    def request_failed(self, request_id: int, error: UpstreamError) -> None:
        self._sink.request_failed(request_id, error)

    def session_doubted(self) -> None:
        self._sink.session_doubted()

    def connection_closed(self, error: UpstreamError) -> None:
        if self.established:
            self._sink.connection_closed(error)


@asynccontextmanager
async def open_http(spec: ServerSpec, sink: MessageSink, max_message_bytes: int) -> AsyncIterator[Transport]:
    """A transport to the URL of `spec`. Raises UpstreamUnavailableError where the address cannot be used."""
    fallback = SseFallback(spec, sink, max_message_bytes)
    streamable_http = open_streamable_http(spec, fallback, max_message_bytes)
    async with streamable_http as streamable, anyio.create_task_group() as tasks:
        fallback.attach(tasks)
        try:
            yield SseFallbackTransport(streamable, fallback)
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await fallback.close()
