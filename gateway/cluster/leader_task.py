"""Work that one process of the cluster does for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.cluster.membership import Membership
from gateway.lasting_task import keep_going


class LeaderTask:
    """Runs its work for as long as this process is the leader, and from the beginning each time it becomes it, and some
    time after it has failed.
    """

    def __init__(self, membership: Membership, work: Callable[[], Awaitable[None]]) -> None:
        self._membership = membership
        self._work = work
        self._changed = asyncio.Event()
        membership.subscribe(self._changed.set)

    async def run(self) -> None:
        """Until cancelled."""
        working: asyncio.Task[None] | None = None
        try:
            while True:
                self._changed.clear()
                if self._membership.is_leader and working is None:
                    working = asyncio.create_task(keep_going(self._work))
                elif not self._membership.is_leader and working is not None:
                    await _end(working)
                    working = None
                await self._changed.wait()
        finally:
            if working is not None:
                await _end(working)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
