"""Requests in a session of HTTP+SSE, which are answered on its stream: followed from their POSTs to their answers."""

from __future__ import annotations

import asyncio
from types import TracebackType

from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from typing_extensions import Self

from gateway.downstream.jsonrpc import STOPPING
from gateway.downstream.protocol.in_flight_requests import CUT_OFF, InFlightRequests


class SseRequests:
    """The requests of one session."""

    def __init__(self, in_flight: InFlightRequests, outgoing: WriteStream[SessionMessage]) -> None:
        self._in_flight = in_flight
        self._outgoing = outgoing
        self._open: dict[str | int, _SseRequest] = {}
        self._cut_off: set[str | int] = set()

    def begin(self, message: SessionMessage | Exception) -> None:
        """A message has come from the client."""
        sent = message.message if isinstance(message, SessionMessage) else None
        if isinstance(sent, JSONRPCRequest):
            request = self._open[sent.id] = _SseRequest(self, sent.id)
            self._in_flight.add(request)
        elif isinstance(sent, JSONRPCNotification) and sent.method == "notifications/cancelled":
            self._end((sent.params or {}).get("requestId"))

    async def send(self, message: SessionMessage) -> None:
        """Send a message to the client, but for the answer to a request that was cut off."""
        answer = message.message
        request_id = answer.id if isinstance(answer, JSONRPCResponse | JSONRPCError) else None
        if request_id in self._cut_off:
            return
        try:
            await self._outgoing.send(message)
        finally:
            self._end(request_id)

    async def send_cut_off(self, request_id: str | int) -> None:
        """Answer that the gateway stops; no other answer is sent."""
        error = JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=STOPPING, message=CUT_OFF))
        self._cut_off.add(request_id)
        try:
            await self._outgoing.send(SessionMessage(error))
        finally:
            self._end(request_id)

    def close(self) -> None:
        """The client is gone, and waits for no answer."""
        for request_id in list(self._open):
            self._end(request_id)

    def _end(self, request_id: object) -> None:
        request = self._open.pop(request_id, None) if isinstance(request_id, str | int) else None
        if request is not None:
            self._in_flight.discard(request)


class _SseRequest:
    def __init__(self, requests: SseRequests, request_id: str | int) -> None:
        self._requests = requests
        self._id = request_id
        self._cutting_off: asyncio.Task[None] | None = None

    @property
    def is_complete(self) -> bool:
        return False

    def cut_off(self) -> None:
        self._cutting_off = asyncio.create_task(self._requests.send_cut_off(self._id))


class FollowedReadStream(ReadStream[SessionMessage | Exception]):
    """A stream of messages from the client, of each of which `requests` are told."""

    def __init__(self, stream: ReadStream[SessionMessage | Exception], requests: SseRequests) -> None:
        self._stream = stream
        self._requests = requests

    @property
    def last_context(self) -> object:
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        message = await self._stream.receive()
        self._requests.begin(message)
        return message

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        message = await self._stream.__anext__()
        self._requests.begin(message)
        return message

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, traceback)


class FollowedWriteStream(WriteStream[SessionMessage]):
    """A stream of messages to the client, which are sent through `requests`."""

    def __init__(self, stream: WriteStream[SessionMessage], requests: SseRequests) -> None:
        self._stream = stream
        self._requests = requests

    async def send(self, item: SessionMessage, /) -> None:
        await self._requests.send(item)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, traceback)
