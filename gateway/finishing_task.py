"""A task that is told when to stop, and has some time then to finish what it is at."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any


class FinishingTask:
    """`stopping` is set once its work is to end; what it has not done `seconds` later stays undone."""

    def __init__(self, seconds: float) -> None:
        self.stopping = asyncio.Event()
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin `work`, which looks at `stopping`."""
        self._task = asyncio.create_task(work)

    async def finish(self) -> None:
        """Return when the work has ended, by itself or because its time was over. Raises what it raised."""
        self.stopping.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=self._seconds)
        if not done:
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
