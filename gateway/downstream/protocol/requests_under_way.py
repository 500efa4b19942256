"""Requests that are being answered, for a gateway that stops: it answers them before it does."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.downstream.jsonrpc import STOPPING, error_response, stopping_response
from gateway.downstream.protocol.accepted_types import event

_CUT_OFF = (
    "The gateway is stopping, and this took longer than server.drain_seconds; what was asked for may have been done."
)
# The SDK's clients look at the list of tools after a call, before they give its result to whoever made it.
_LINGER_SECONDS = 0.3


@dataclass(slots=True, eq=False)
class _Request:
    task: asyncio.Task[object]
    body: list[bytes] = field(default_factory=list)
    started: Message | None = None
    is_complete: bool = False
    is_cut_off: bool = False

    @property
    def id(self) -> object:
        try:
            message = json.loads(b"".join(self.body))
        except (ValueError, RecursionError):
            return None
        return message.get("id") if isinstance(message, dict) else None

    @property
    def is_streaming(self) -> bool:
        headers = {} if self.started is None else dict(self.started["headers"])
        return bytes(headers.get(b"content-type", b"")).startswith(b"text/event-stream")


class RequestsUnderWay:
    """Follows POSTs to their answer, and cuts off those that do not come to one."""

    def __init__(self) -> None:
        self._requests: set[_Request] = set()
        self._is_idle = asyncio.Event()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request through `app`, or, where it is cut off, with an error that says why."""
        task = asyncio.current_task()
        assert task is not None
        request = _Request(task)
        self._requests.add(request)

        async def receive_noted() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                request.body.append(message.get("body", b""))
            return message

        async def send_noted(message: Message) -> None:
            if request.is_cut_off:
                return
            if message["type"] == "http.response.start":
                request.started = message
            elif not message.get("more_body", False):
                request.is_complete = True
            await send(message)

        try:
            await app(scope, receive_noted, send_noted)
        except asyncio.CancelledError:
            if not request.is_cut_off:
                raise
            if sys.version_info >= (3, 11):
                task.uncancel()
            await self._say_that_it_was_cut_off(request, scope, receive, send)
        finally:
            self._requests.discard(request)
            if not self._requests:
                self._is_idle.set()

    async def finish(self, seconds: float) -> int:
        """Wait for all to be answered, at most so long, then cut off the others; returns how many."""
        try:
            await asyncio.wait_for(self._wait_until_idle(lingering=True), seconds)
        except asyncio.TimeoutError:
            late = [request for request in self._requests if not request.is_complete]
            for request in late:
                request.is_cut_off = True
                request.task.cancel()
            await self._wait_until_idle()
            return len(late)
        return 0

    async def _wait_until_idle(self, lingering: bool = False) -> None:
        while self._requests:
            self._is_idle.clear()
            await self._is_idle.wait()
            if lingering:
                await asyncio.sleep(_LINGER_SECONDS)

    async def _say_that_it_was_cut_off(self, request: _Request, scope: Scope, receive: Receive, send: Send) -> None:
        if request.started is None:
            await stopping_response(request.id, _CUT_OFF)(scope, receive, send)
        elif request.is_streaming:
            body = event(bytes(error_response(request.id, STOPPING, _CUT_OFF).body))
            await send({"type": "http.response.body", "body": body, "more_body": False})
