"""Messages between a client on standard input and output and a gateway over HTTP, passed on as they are."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
)
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, PARSE_ERROR, PROTOCOL_VERSION_META_KEY

from gateway.errors import UpstreamError, UpstreamUnavailableError
from gateway.upstream.message import Message, decode, encode
from gateway.upstream.spec import ServerSpec
from gateway.upstream.streamable import open_streamable
from gateway.upstream.wire import UnsentError, Wire

logger = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_MAX_WAITING_NOTIFICATIONS = 1_000
_REVIVAL = "modelgate-connect-revival"

Read = Callable[[], Awaitable[bytes]]
"""Returns the next line of the client; empty when the client has gone."""

Write = Callable[[bytes], Awaitable[None]]
"""Gives the client a line."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request of the client without a reply, and what hears of it: whatever it was sent on last."""

    request: Message
    ear: _Ear | None = None
    sent_again: bool = False


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
    client's doing.
    """

    def __init__(self, spec: ServerSpec, read: Read, write: Write) -> None:
        self._spec = spec
        self._read = read
        self._write = write
        self._out: deque[bytes] = deque()
        self._stirred = anyio.Event()
        self._waiting: dict[Any, _Waiting] = {}
        self._wire: Wire | None = None
        self._ear = _Ear(self)
        self._wire_left = anyio.Event()
        self._initialize: Message | None = None
        self._version: str | None = None
        self._forgotten = False
        self._reviving = anyio.Lock()
        self._revived = anyio.Event()
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Pass messages on until the client has gone."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._write_out)
            while line := await self._read():
                if line.strip():
                    await self._take(line)
            tasks.cancel_scope.cancel()

    def received(self, message: object) -> bool:
        """What the gateway says goes to the client. Returns whether it is a JSON-RPC message."""
        if not isinstance(message, dict):
            return False
        if "method" in message:
            # A client that reads slower than the gateway speaks misses notifications; memory stays flat.
            if "id" in message or len(self._out) < _MAX_WAITING_NOTIFICATIONS:
                self._tell(message)
            return True
        if "result" not in message and "error" not in message:
            return False
        waiting = self._waiting.pop(message.get("id"), None)
        if waiting is None:
            return True
        if waiting.request["method"] == "initialize" and isinstance(message.get("result"), dict):
            self._version = message["result"].get("protocolVersion")
        if waiting.request["id"] == _REVIVAL:
            self._revived.set()
        else:
            self._tell(message)
        return True

    def failed(self, request_id: Any, error: UpstreamError, ear: _Ear) -> None:
        """A request that gets no reply on the wire of `ear` is sent once more, or answered with what went wrong."""
        waiting = self._waiting.get(request_id)
        if waiting is None or waiting.ear is not ear:
            return
        if isinstance(error, UnsentError) and not waiting.sent_again and self._tasks is not None:
            waiting.sent_again, waiting.ear = True, None
            self._tasks.start_soon(self._send_again, waiting)
        else:
            self._give_up(waiting, error)

    def closed(self, ear: _Ear) -> None:
        """The gateway knows the session of that wire no longer; the next message opens another."""
        self._forgotten = self._forgotten or ear is self._ear

    async def _take(self, line: bytes) -> None:
        try:
            message = decode(line)
        except ValueError:
            self._refuse(None, PARSE_ERROR, "A line of the client is not JSON.")
            return
        for part in message if isinstance(message, list) else [message]:
            if not isinstance(part, dict) or not isinstance(part.get("id"), (str, int, float, type(None))):
                self._refuse(None, INVALID_REQUEST, "A message of the client is not a JSON-RPC message.")
                continue
            try:
                await self._pass_on(part)
            except UpstreamError as error:
                logger.error("%s", error.message)

    async def _pass_on(self, message: Message) -> None:
        method, params = message.get("method"), message.get("params")
        if method == "notifications/cancelled" and isinstance(params, dict):
            await self._cancel(params)
            return
        waiting: _Waiting | None = None
        if isinstance(method, str) and message.get("id") is not None:
            waiting = self._waiting[message["id"]] = _Waiting(message)
        if method == "initialize":
            await self._begin(message)
        try:
            await self._revive()
            await self._send(message)
        except UpstreamError as error:
            if waiting is None:
                raise
            self._give_up(waiting, error)

    async def _send(self, message: Message) -> None:
        wire = self._wire or await self._open()
        headers: dict[str, str] = {}
        modern = _modern_version(message)
        if modern is not None:
            headers = _modern_headers(message, modern)
            await wire.agreed(modern)
        elif self._version is not None and message.get("method") != "initialize":
            headers[MCP_PROTOCOL_VERSION_HEADER] = self._version
        if isinstance(message.get("method"), str) and message.get("id") in self._waiting:
            self._waiting[message["id"]].ear = self._ear
        await wire.send(message, headers)
        if message.get("method") == "notifications/initialized" and self._version is not None:
            await wire.agreed(self._version)

    async def _begin(self, message: Message) -> None:
        """A client that initializes starts over, with a session of its own."""
        for waiting in list(self._waiting.values()):
            if waiting.request is not message:
                self._give_up(waiting, UpstreamUnavailableError(self._spec.name, "The client has started over."))
        self._initialize, self._version, self._forgotten = message, None, False
        await self._open()

    async def _send_again(self, waiting: _Waiting) -> None:
        try:
            await self._revive()
            await self._send(waiting.request)
        except UpstreamError as error:
            self._give_up(waiting, error)

    def _give_up(self, waiting: _Waiting, error: UpstreamError) -> None:
        request_id = waiting.request["id"]
        if self._waiting.pop(request_id, None) is None:
            return
        logger.error("%s", error.message)
        if request_id == _REVIVAL:
            self._revived.set()
        else:
            self._refuse(request_id, CONNECTION_CLOSED, error.message)

    async def _revive(self) -> None:
        """Open the client's session anew where the gateway has forgotten it."""
        async with self._reviving:
            if not self._forgotten or self._initialize is None:
                return
            self._version = None
            self._revived = anyio.Event()
            initialize = {**self._initialize, "id": _REVIVAL}
            self._waiting[_REVIVAL] = _Waiting(initialize, sent_again=True)
            await self._open()
            await self._send(initialize)
            await self._revived.wait()
            if not self._has_session():
                raise UpstreamUnavailableError(
                    self._spec.name, f"{self._spec.name} opened no new session; start the client again."
                )
            self._forgotten = False
            await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _has_session(self) -> bool:
        return self._version is not None

    async def _cancel(self, params: Message) -> None:
        request_id = params.get("requestId")
        if self._wire is not None and self._waiting.pop(request_id, None) is not None:
            await self._wire.cancel(request_id, str(params.get("reason") or ""))  # type: ignore[arg-type]

    async def _open(self) -> Wire:
        """A fresh wire in place of the one there is, which ends its session."""
        if self._tasks is None:
            raise RuntimeError("the bridge is used before it runs")
        self._wire_left.set()
        self._wire_left = anyio.Event()
        self._ear = _Ear(self)
        wire: Wire = await self._tasks.start(self._hold, self._ear, self._wire_left)
        self._wire = wire
        return wire

    async def _hold(self, ear: _Ear, left: anyio.Event, *, task_status: TaskStatus[Wire]) -> None:
        async with open_streamable(self._spec, ear, _MAX_MESSAGE_BYTES) as wire:
            task_status.started(wire)
            await left.wait()

    def _refuse(self, request_id: object, code: int, message: str) -> None:
        self._tell({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})

    def _tell(self, message: Message) -> None:
        self._out.append(encode(message) + b"\n")
        self._stirred.set()

    async def _write_out(self) -> None:
        while True:
            while self._out:
                await self._write(self._out.popleft())
            self._stirred = anyio.Event()
            await self._stirred.wait()


def _modern_version(message: Message) -> str | None:
    """The protocol version that a message of the modern era carries in itself."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def _modern_headers(message: Message, version: str) -> dict[str, str]:
    method = message.get("method")
    headers = {MCP_PROTOCOL_VERSION_HEADER: version}
    if isinstance(method, str):
        headers[MCP_METHOD_HEADER] = method
        key = NAME_BEARING_METHODS.get(method)
        name = message["params"].get(key) if key is not None else None
        if isinstance(name, str):
            headers[MCP_NAME_HEADER] = encode_header_value(name)
    return headers
