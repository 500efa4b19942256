"""How many requests one server has to answer at the same time, and in which order the others wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from gateway.errors import UpstreamBusyError

# So many times what a server may have at a time waits for it; what comes then would hardly get its turn in time.
_WAITING_FACTOR = 16


class CallSlots:
    """Slots of one server. What waits gets one in the order in which it came, but calls before listings."""

    def __init__(self, server_name: str, max_calls: int) -> None:
        self._server_name = server_name
        self._max_calls = max_calls
        self._taken = 0
        self._calls: deque[asyncio.Future[None]] = deque()
        self._listings: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._calls) + len(self._listings)

    @asynccontextmanager
    async def slot(self, deadline: float, *, is_listing: bool = False) -> AsyncIterator[None]:
        """Hold a slot. Raises UpstreamBusyError where none comes free by `deadline`, in the loop's time, and at once
        where too many wait already.
        """
        if self._taken < self._max_calls:
            self._taken += 1
        else:
            await self._wait(self._listings if is_listing else self._calls, deadline)
        try:
            yield
        finally:
            self._release()

    async def _wait(self, waiting: deque[asyncio.Future[None]], deadline: float) -> None:
        if self.waiting >= self._max_calls * _WAITING_FACTOR:
            raise self._busy()
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            with anyio.CancelScope(deadline=deadline) as scope:
                await turn
        except asyncio.CancelledError:
            self._give_up(turn, waiting)
            raise
        if scope.cancelled_caught:
            self._give_up(turn, waiting)
            raise self._busy()

    def _give_up(self, turn: asyncio.Future[None], waiting: deque[asyncio.Future[None]]) -> None:
        if turn.cancelled():
            waiting.remove(turn)
        else:
            # It came in the very moment.
            self._release()

    def _release(self) -> None:
        for waiting in (self._calls, self._listings):
            turn = next((each for each in waiting if not each.done()), None)
            if turn is not None:
                waiting.remove(turn)
                turn.set_result(None)
                return
        self._taken -= 1

    def _busy(self) -> UpstreamBusyError:
        return UpstreamBusyError(
            self._server_name,
            f"Server {self._server_name} is busy with {self._max_calls} calls, as many as it may have; "
            "try again later.",
        )
