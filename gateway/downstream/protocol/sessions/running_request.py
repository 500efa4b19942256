"""A request of a handshake session whose answer is being made; the SDK may take it over meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from mcp.server.streamable_http import REQUEST_CANCELLED
from mcp.shared.exceptions import MCPError

from gateway.downstream.client_request import Result

C = TypeVar("C")

RUNNING = "running_request"
"""The key in a scope's state of a request that is under way already when the SDK is given it."""

TAKE_OVER_SECONDS = 1.0
"""So long a request goes on that the SDK is expected to take over."""


class RunningRequest(Generic[C]):
    """Nothing but its answer can be said to the client until the SDK has a stream for it, and then all can.

    Through what, is what it is joined with.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        # Done once it is known how to go on: there is an answer, or there has to be a stream.
        self._decided: asyncio.Future[None] = loop.create_future()
        self._context: asyncio.Future[C | None] = loop.create_future()
        self._work: asyncio.Task[Result] | None = None

    def start(self, work: Coroutine[Any, Any, Result]) -> None:
        """Begin to make the answer."""
        self._work = asyncio.create_task(work)
        self._work.add_done_callback(self._on_done)

    async def context(self) -> C | None:
        """What the client is told and asked things through, as soon as that can be; None where it is too late."""
        self._decide()
        return await asyncio.shield(self._context)

    async def answered_within(self, seconds: float) -> bool:
        """Whether there is an answer before so much time has passed, and before anything else has to be said."""
        assert self._work is not None
        timer = asyncio.get_running_loop().call_later(seconds, self._decide)
        try:
            await self._decided
        finally:
            timer.cancel()
        return self._work.done()

    def result(self) -> Result:
        """The result, once there is one. Raises what the handler raised, and MCPError where it was cancelled."""
        assert self._work is not None
        if self._work.cancelled():
            raise MCPError(code=REQUEST_CANCELLED, message="Request cancelled")
        return self._work.result()

    async def join(self, context: C) -> Result:
        """Go on as the SDK's handler of the same request, which ends it when it is cancelled. Raises as `result`."""
        assert self._work is not None
        if not self._context.done():
            self._context.set_result(context)
        try:
            await asyncio.wait((self._work,))
        except asyncio.CancelledError:
            self._work.cancel()
            raise
        return self.result()

    async def finish_alone(self) -> None:
        """Return when there is an answer; nothing else can be said to the client any more."""
        assert self._work is not None
        if not self._context.done():
            self._context.set_result(None)
        try:
            await asyncio.wait((self._work,))
        except asyncio.CancelledError:
            self._work.cancel()
            raise

    def expect_to_be_joined(self) -> None:
        """Cancel it where the SDK does not take it over in a second, as its session has ended."""
        if not self._context.done():
            asyncio.get_running_loop().call_later(TAKE_OVER_SECONDS, self._cancel_unless_joined)

    def cancel(self) -> None:
        """Have nothing come of it any more."""
        if self._work is not None:
            self._work.cancel()

    def _cancel_unless_joined(self) -> None:
        if not self._context.done():
            self.cancel()
            self._context.set_result(None)

    def _on_done(self, work: asyncio.Task[Result]) -> None:
        if not work.cancelled():
            # Somebody has looked at it, even where nobody is there for it any more.
            work.exception()
        if not self._decided.done():
            # Answered at once: there will be no stream.
            self._context.set_result(None)
        self._decide()

    def _decide(self) -> None:
        if not self._decided.done():
            self._decided.set_result(None)
