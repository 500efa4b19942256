"""Work that nobody waits for, such as syncs: it leaves half of the pooled connections to those who do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

_is_background: ContextVar[bool] = ContextVar("is_background", default=False)
_holds_turn: ContextVar[bool] = ContextVar("holds_turn", default=False)


@contextlib.contextmanager
def in_background() -> Iterator[None]:
    """What is done inside, and by tasks started inside, is work that nobody waits for."""
    token = _is_background.set(True)
    try:
        yield
    finally:
        _is_background.reset(token)


class BackgroundShare:
    """The connections that such work may hold at the same time; what it finds taken, it waits for."""

    def __init__(self, pool_size: int) -> None:
        self._turns = asyncio.Semaphore(max(1, pool_size // 2))

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """While one is held. Who holds one already gets the next without waiting, or two could wait for each other."""
        if not _is_background.get() or _holds_turn.get():
            yield
            return
        async with self._turns:
            token = _holds_turn.set(True)
            try:
                yield
            finally:
                _holds_turn.reset(token)
