"""Requests that are being answered, for a gateway that stops: it answers them before it does."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.downstream.jsonrpc import STOPPING, error_response
from gateway.downstream.protocol.replies.accepted_types import event

CUT_OFF = (
    "The gateway is stopping, and this took longer than server.drain_seconds; what was asked for may have been done."
)
# The SDK's clients look at the list of tools after a call, before they give its result to whoever made it.
_LINGER_SECONDS = 0.3


class InFlightRequest(Protocol):
    """A request that is being answered."""

    @property
    def is_complete(self) -> bool:
        """Whether all of the answer has been given."""

    def cut_off(self) -> None:
        """Answer with an error that says why there is no other answer, and leave the set that this is in."""


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

    def cut_off(self) -> None:
        self.is_cut_off = True
        self.task.cancel()


class InFlightRequests:
    """Follows requests to their answers, and cuts off those that do not come to one."""

    def __init__(self) -> None:
        self._requests: set[InFlightRequest] = set()
        self._is_idle = asyncio.Event()

    def add(self, request: InFlightRequest) -> None:
        """Follow a request that is answered in another way than with its POST."""
        self._requests.add(request)

    def discard(self, request: InFlightRequest) -> None:
        """The request has been answered, or nobody waits for an answer."""
        self._requests.discard(request)
        if not self._requests:
            self._is_idle.set()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request through `app`, or, where it is cut off, with an error that says why."""
        task = asyncio.current_task()
        assert task is not None
        request = _Request(task)
        self.add(request)

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
            self.discard(request)

    async def finish(self, seconds: float) -> int:
        """Wait for all to be answered, at most so long, then cut off the others; returns how many."""
        try:
            await asyncio.wait_for(self._wait_until_idle(), seconds)
        except asyncio.TimeoutError:
            late = [request for request in self._requests if not request.is_complete]
            for request in late:
                request.cut_off()
            # Their last words are on the way.
            await self._wait_until_idle()
            return len(late)
        return 0

    async def _wait_until_idle(self) -> None:
        while self._requests:
            self._is_idle.clear()
            await self._is_idle.wait()
            await asyncio.sleep(_LINGER_SECONDS)

    async def _say_that_it_was_cut_off(self, request: _Request, scope: Scope, receive: Receive, send: Send) -> None:
        if request.started is None:
            # No 503, which load balancers and clients answer by asking again: it may have been done.
            cut_off = error_response(request.id, STOPPING, CUT_OFF, status=504)
            cut_off.headers["Connection"] = "close"
            await cut_off(scope, receive, send)
        elif request.is_streaming:
            body = event(bytes(error_response(request.id, STOPPING, CUT_OFF).body))
            await send({"type": "http.response.body", "body": body, "more_body": False})
