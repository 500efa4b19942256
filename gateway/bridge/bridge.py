"""Messages between a client on standard input and output and a gateway over HTTP, passed on as they are."""

from __future__ import annotations

import logging
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream

from gateway.bridge.client_session import ClientSession
from gateway.bridge.era_headers import build_headers, modern_version
from gateway.bridge.pending_requests import PendingRequest, PendingRequests
from gateway.bridge.stdio_client import ReadLine, StdioClient, WriteLine
from gateway.errors import RequestNotSentError, SessionLostError, UpstreamError, UpstreamUnavailableError
from gateway.json_codec import Message
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import Transport
from gateway.upstream.transports.streamable_http import open_streamable_http

logger = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_MAX_UNSENT = 1_000
_GOODBYE_SECONDS = 10.0
_SETTLING_SECONDS = 5.0
_LISTEN = "subscriptions/listen"
_INITIALIZED: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class _BridgeSink:
    """The `MessageSink` of one transport."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def message_received(self, message: object, related_id: int | None = None) -> bool:
        return self._bridge.deliver(message)

    def request_failed(self, request_id: Any, error: UpstreamError) -> None:
        self._bridge.request_failed(request_id, error, self)

    def session_doubted(self) -> None:
        self._bridge.session_lost(self)

    def connection_closed(self, error: UpstreamError) -> None:
        self._bridge.session_lost(self)


class Bridge:
    """One client's connection to a gateway.

    The era is said by each message: a modern request names its protocol version, all others belong to the session that
    `initialize` opened. A session that the gateway has forgotten, as after its restart, is opened again without the
    client's doing. No message waits longer than the connect timeout of `spec` for one before it.
    """

    def __init__(self, spec: ServerSpec, read: ReadLine, write: WriteLine) -> None:
        self._spec = spec
        self._client = StdioClient(read, write)
        self._pending = PendingRequests(self._client)
        self._session = ClientSession()
        self._transport: Transport | None = None
        self._protocol_version: str | None = None
        self._sink = _BridgeSink(self)
        self._transport_left = anyio.Event()
        self._session_gone = False
        self._reopening = anyio.Lock()
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Pass messages on until the client has gone and what it asked is answered, or ten seconds have passed."""
        feed, unsent = anyio.create_memory_object_stream[Message](_MAX_UNSENT)
        all_sent = anyio.Event()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._client.run_writer)
            tasks.start_soon(self._forward_all, unsent, all_sent)
            async with feed:
                async for message in self._client.messages():
                    if self._accept(message):
                        await feed.send(message)
            with anyio.move_on_after(_GOODBYE_SECONDS):
                await all_sent.wait()
                while waiting := [each for each in self._pending.all() if each.message["method"] != _LISTEN]:
                    await waiting[0].settled.wait()
                await self._client.flush()
            tasks.cancel_scope.cancel()

    def deliver(self, message: object) -> bool:
        """What the gateway says goes to the client. Returns whether it is a JSON-RPC message."""
        if not isinstance(message, dict):
            return False
        if "method" in message:
            self._client.send(message)
            return True
        if "result" not in message and "error" not in message:
            return False
        request = self._pending.resolve(message)
        if request is not None:
            self._session.record_reply(request.message, message)
        return True

    def request_failed(self, request_id: Any, error: UpstreamError, sink: object) -> None:
        """A request that gets no reply where `sink` listens is sent once more, or answered with what went wrong."""
        request = self._pending.get(request_id)
        if request is None or request.sink is not sink:
            return
        if isinstance(error, SessionLostError):
            self.session_lost(sink)
        not_taken = isinstance(error, (RequestNotSentError, SessionLostError))
        retriable = not_taken and not request.is_retry and not request.internal
        if retriable and self._tasks is not None:
            self._tasks.start_soon(self._send_request, self._pending.retry(request))
        else:
            self._pending.fail(request, error.message)

    def session_lost(self, sink: object) -> None:
        """The gateway knows the session of that transport no longer; another is opened in its place."""
        if sink is self._sink and not self._session_gone and self._tasks is not None:
            self._session_gone = True
            self._tasks.start_soon(self._reopen_session)

    def _accept(self, message: Message) -> bool:
        """Take a message of the client in. Returns whether it is to be passed on in its turn."""
        method = message.get("method")
        if method == "notifications/cancelled":
            self._cancel(message.get("params"))
            return False
        if method is None or "id" not in message:
            return True
        if method == "initialize":
            for request in self._pending.all():
                self._pending.fail(request, "The client has started over.")
        return self._pending.add(message)

    async def _forward_all(self, unsent: MemoryObjectReceiveStream[Message], all_sent: anyio.Event) -> None:
        """Pass messages on in their order."""
        async with unsent:
            async for message in unsent:
                try:
                    await self._forward(message)
                except UpstreamError as error:
                    logger.error("%s", error.message)
        all_sent.set()

    async def _forward(self, message: Message) -> None:
        if "method" in message and "id" in message:
            request = self._pending.get(message["id"])
            # Otherwise it was cancelled, or given up, before its turn came.
            if request is not None and request.message is message:
                await self._send_request(request)
        elif not self._session_gone:
            # What is no request is for the session that was, and gone with it.
            with anyio.move_on_after(self._spec.connect_timeout):
                await self._send(message)

    async def _send_request(self, request: PendingRequest) -> None:
        try:
            if request.message["method"] == "initialize":
                self._session.start(request.message)
                self._session_gone = False
                await self._open_session(request)
                return
            await self._reopen_session()
            if not request.settled.is_set():
                await self._send(request.message, request)
        except UpstreamError as error:
            self._pending.fail(request, error.message)

    async def _send(self, message: Message, request: PendingRequest | None = None) -> None:
        transport = self._transport or await self._open_transport()
        modern = modern_version(message)
        if modern is not None:
            await self._set_protocol_version(transport, modern)
        if request is not None:
            request.sink = self._sink
        await transport.send(message, build_headers(message, modern, self._session.version))
        if message.get("method") == "notifications/initialized" and self._session.version is not None:
            await self._set_protocol_version(transport, self._session.version)

    async def _set_protocol_version(self, transport: Transport, version: str) -> None:
        if transport is self._transport and version != self._protocol_version:
            self._protocol_version = version
            await transport.set_protocol_version(version)

    async def _open_session(self, request: PendingRequest) -> None:
        """Send an `initialize` on a transport of its own and wait for its reply, at most for the connect timeout."""
        await self._open_transport()
        await self._send(request.message, request)
        with anyio.move_on_after(self._spec.connect_timeout):
            await request.settled.wait()

    async def _reopen_session(self) -> None:
        """Open the session anew where the gateway has forgotten it. Where that fails, all that wait for it fail."""
        async with self._reopening:
            if not self._session_gone or self._session.initialize_request is None:
                return
            self._session.version = None
            request = self._pending.create_internal(self._session.initialize_request)
            try:
                await self._open_session(request)
                if not self._has_session():
                    why = f" ({request.error})" if request.error else ""
                    raise UpstreamUnavailableError(
                        self._spec.name, f"{self._spec.name} opened no new session{why}; start the client again."
                    )
                self._session_gone = False
                with anyio.move_on_after(self._spec.connect_timeout):
                    await self._send(_INITIALIZED)
                for message in self._session.requests_to_repeat():
                    renewed = self._pending.create_internal(message)
                    await self._send(renewed.message, renewed)
            except UpstreamError as error:
                for waiting in [request, *self._pending.sent_on(None)]:
                    self._pending.fail(waiting, error.message)

    def _has_session(self) -> bool:
        return self._session.version is not None

    def _cancel(self, params: object) -> None:
        given = params if isinstance(params, dict) else {}
        request = self._pending.remove(given.get("requestId"))
        if (
            request is not None
            and request.sink is self._sink
            and self._transport is not None
            and self._tasks is not None
        ):
            self._tasks.start_soon(self._send_cancellation, self._transport, request, str(given.get("reason") or ""))

    async def _send_cancellation(self, transport: Transport, request: PendingRequest, reason: str) -> None:
        with anyio.move_on_after(self._spec.connect_timeout):
            try:
                await transport.cancel(request.id, reason)
            except UpstreamError as error:
                logger.error("%s", error.message)

    async def _open_transport(self) -> Transport:
        """A fresh transport in place of the one there is, which ends its session."""
        if self._tasks is None:
            raise RuntimeError("the bridge is used before it runs")
        self._transport_left.set()
        self._transport_left = anyio.Event()
        self._sink = _BridgeSink(self)
        self._protocol_version = None
        transport: Transport = await self._tasks.start(self._hold_transport, self._sink, self._transport_left)
        self._transport = transport
        return transport

    async def _hold_transport(
        self, sink: _BridgeSink, left: anyio.Event, *, task_status: TaskStatus[Transport]
    ) -> None:
        async with open_streamable_http(self._spec, sink, _MAX_MESSAGE_BYTES) as transport:
            task_status.started(transport)
            await left.wait()
            # What is still in flight there has this long to end by itself.
            with anyio.move_on_after(_SETTLING_SECONDS):
                for request in self._pending.sent_on(sink):
                    await request.settled.wait()
        for request in self._pending.sent_on(sink):
            self._pending.fail(request, f"The session with {self._spec.name} was opened anew; try again.")
