"""Messages between a client on standard input and output and a gateway over HTTP, passed on as they are."""

from __future__ import annotations

import logging
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream

from gateway.bridge.client_session import ClientSession
from gateway.bridge.era_headers import headers_of, modern_version
from gateway.bridge.in_flight import InFlight, PendingRequest
from gateway.bridge.stdio_client import Client, Read, Write
from gateway.errors import UpstreamError, UpstreamUnavailableError
from gateway.json_codec import Message
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transports.streamable_http import open_streamable
from gateway.upstream.transports.transport import Transport, UnsentError

logger = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_MAX_UNSENT = 1_000
_GOODBYE_SECONDS = 10.0
_SETTLING_SECONDS = 5.0
_LISTEN = "subscriptions/listen"
_INITIALIZED: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class _Ear:
    """The `Listener` of one wire."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def received(self, message: object, related: int | None = None) -> bool:
        return self._bridge.received(message)

    def failed(self, request_id: Any, error: UpstreamError) -> None:
        self._bridge.failed(request_id, error, self)

    def closed(self, error: UpstreamError) -> None:
        self._bridge.closed(self)


class Bridge:
    """One client's connection to a gateway.

    The era is said by each message: a modern request names its protocol version, all others belong to the session that
    `initialize` opened. A session that the gateway has forgotten, as after its restart, is opened again without the
    client's doing. No message waits longer than the connect timeout of `spec` for one before it.
    """

    def __init__(self, spec: ServerSpec, read: Read, write: Write) -> None:
        self._spec = spec
        self._client = Client(read, write)
        self._in_flight = InFlight(self._client)
        self._session = ClientSession()
        self._wire: Transport | None = None
        self._agreed: str | None = None
        self._ear = _Ear(self)
        self._wire_left = anyio.Event()
        self._forgotten = False
        self._reviving = anyio.Lock()
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Pass messages on until the client has gone and what it asked is answered, or ten seconds have passed."""
        feed, unsent = anyio.create_memory_object_stream[Message](_MAX_UNSENT)
        all_sent = anyio.Event()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._client.write_out)
            tasks.start_soon(self._pass_all_on, unsent, all_sent)
            async with feed:
                async for message in self._client.messages():
                    if self._admit(message):
                        await feed.send(message)
            with anyio.move_on_after(_GOODBYE_SECONDS):
                await all_sent.wait()
                while waiting := [each for each in self._in_flight.all() if each.message["method"] != _LISTEN]:
                    await waiting[0].settled.wait()
                await self._client.written()
            tasks.cancel_scope.cancel()

    def received(self, message: object) -> bool:
        """What the gateway says goes to the client. Returns whether it is a JSON-RPC message."""
        if not isinstance(message, dict):
            return False
        if "method" in message:
            self._client.tell(message)
            return True
        if "result" not in message and "error" not in message:
            return False
        request = self._in_flight.settle(message)
        if request is not None:
            self._session.replied(request.message, message)
        return True

    def failed(self, request_id: Any, error: UpstreamError, ear: object) -> None:
        """A request that gets no reply on the wire of `ear` is sent once more, or answered with what went wrong."""
        request = self._in_flight.by_id(request_id)
        if request is None or request.ear is not ear:
            return
        if isinstance(error, UnsentError) and not request.again and not request.own and self._tasks is not None:
            self._tasks.start_soon(self._send_request, self._in_flight.again(request))
        else:
            self._in_flight.give_up(request, error.message)

    def closed(self, ear: object) -> None:
        """The gateway knows the session of that wire no longer; another is opened in its place."""
        if ear is self._ear and not self._forgotten and self._tasks is not None:
            self._forgotten = True
            self._tasks.start_soon(self._revive)

    def _admit(self, message: Message) -> bool:
        """Take a message of the client in. Returns whether it is to be passed on in its turn."""
        method = message.get("method")
        if method == "notifications/cancelled":
            self._cancel(message.get("params"))
            return False
        if method is None or "id" not in message:
            return True
        if method == "initialize":
            for request in self._in_flight.all():
                self._in_flight.give_up(request, "The client has started over.")
        return self._in_flight.admit(message)

    async def _pass_all_on(self, unsent: MemoryObjectReceiveStream[Message], all_sent: anyio.Event) -> None:
        """Pass messages on in their order."""
        async with unsent:
            async for message in unsent:
                try:
                    await self._pass_on(message)
                except UpstreamError as error:
                    logger.error("%s", error.message)
        all_sent.set()

    async def _pass_on(self, message: Message) -> None:
        if "method" in message and "id" in message:
            request = self._in_flight.by_id(message["id"])
            # Otherwise it was cancelled, or given up, before its turn came.
            if request is not None and request.message is message:
                await self._send_request(request)
        elif not self._forgotten:
            # What is no request is for the session that was, and gone with it.
            with anyio.move_on_after(self._spec.connect_timeout):
                await self._send(message)

    async def _send_request(self, request: PendingRequest) -> None:
        try:
            if request.message["method"] == "initialize":
                self._session.begun(request.message)
                self._forgotten = False
                await self._open_session(request)
                return
            await self._revive()
            if not request.settled.is_set():
                await self._send(request.message, request)
        except UpstreamError as error:
            self._in_flight.give_up(request, error.message)

    async def _send(self, message: Message, request: PendingRequest | None = None) -> None:
        wire = self._wire or await self._open()
        modern = modern_version(message)
        if modern is not None:
            await self._agree(wire, modern)
        if request is not None:
            request.ear = self._ear
        await wire.send(message, headers_of(message, modern, self._session.version))
        if message.get("method") == "notifications/initialized" and self._session.version is not None:
            await self._agree(wire, self._session.version)

    async def _agree(self, wire: Transport, version: str) -> None:
        if wire is self._wire and version != self._agreed:
            self._agreed = version
            await wire.agreed(version)

    async def _open_session(self, request: PendingRequest) -> None:
        """Send an `initialize` on a wire of its own and wait for its reply, but no longer than the connect timeout."""
        await self._open()
        await self._send(request.message, request)
        with anyio.move_on_after(self._spec.connect_timeout):
            await request.settled.wait()

    async def _revive(self) -> None:
        """Open the session anew where the gateway has forgotten it. Where that fails, all that wait for it fail."""
        async with self._reviving:
            if not self._forgotten or self._session.initialize is None:
                return
            self._session.version = None
            request = self._in_flight.own(self._session.initialize)
            try:
                await self._open_session(request)
                if not self._has_session():
                    why = f" ({request.error})" if request.error else ""
                    raise UpstreamUnavailableError(
                        self._spec.name, f"{self._spec.name} opened no new session{why}; start the client again."
                    )
                self._forgotten = False
                with anyio.move_on_after(self._spec.connect_timeout):
                    await self._send(_INITIALIZED)
                for message in self._session.standing():
                    renewed = self._in_flight.own(message)
                    await self._send(renewed.message, renewed)
            except UpstreamError as error:
                for waiting in [request, *self._in_flight.heard_by(None)]:
                    self._in_flight.give_up(waiting, error.message)

    def _has_session(self) -> bool:
        return self._session.version is not None

    def _cancel(self, params: object) -> None:
        given = params if isinstance(params, dict) else {}
        request = self._in_flight.drop(given.get("requestId"))
        if request is not None and request.ear is self._ear and self._wire is not None and self._tasks is not None:
            self._tasks.start_soon(self._tell_cancelled, self._wire, request, str(given.get("reason") or ""))

    async def _tell_cancelled(self, wire: Transport, request: PendingRequest, reason: str) -> None:
        with anyio.move_on_after(self._spec.connect_timeout):
            try:
                await wire.cancel(request.id, reason)
            except UpstreamError as error:
                logger.error("%s", error.message)

    async def _open(self) -> Transport:
        """A fresh wire in place of the one there is, which ends its session."""
        if self._tasks is None:
            raise RuntimeError("the bridge is used before it runs")
        self._wire_left.set()
        self._wire_left = anyio.Event()
        self._ear = _Ear(self)
        self._agreed = None
        wire: Transport = await self._tasks.start(self._hold, self._ear, self._wire_left)
        self._wire = wire
        return wire

    async def _hold(self, ear: _Ear, left: anyio.Event, *, task_status: TaskStatus[Transport]) -> None:
        async with open_streamable(self._spec, ear, _MAX_MESSAGE_BYTES) as wire:
            task_status.started(wire)
            await left.wait()
            # What is still in flight there has this long to end by itself.
            with anyio.move_on_after(_SETTLING_SECONDS):
                for request in self._in_flight.heard_by(ear):
                    await request.settled.wait()
        for request in self._in_flight.heard_by(ear):
            self._in_flight.give_up(request, f"The session with {self._spec.name} was opened anew; try again.")
