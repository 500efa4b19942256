"""What keys may use up: requests a minute, calls at the same time, calls a day."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone

from gateway.access.caller import Caller
from gateway.cluster.shared_key_counts import SharedKeyCounts
from gateway.database.pool import Database
from gateway.errors import DatabaseError, LimitError

# A process takes one part in this many of a day's budget at a time.
_BUDGET_SHARES = 100
_USAGE_RETENTION_DAYS = 31


@dataclass(slots=True)
class _DailyBudget:
    """Calls of a key on one day that this process has taken out of the budget and not made yet."""

    day: date
    left: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Limiter:
    """Counts what keys use, in all processes on one database together.

    The budget of a day is never exceeded: a process takes a hundredth of it at a time (of a budget below 200 a single
    call) out of the database, and gives back what it has not used when `write_usage` is called. Calls that a killed
    process had taken are lost for the day.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        counts: SharedKeyCounts | None = None,
    ) -> None:
        """`clock` gives seconds for the limit of a minute, `now` the time of day; `counts` are those of all
        processes together."""
        self._database = database
        self._now = now
        self._counts = counts or SharedKeyCounts(clock=clock)
        self._budgets: dict[tuple[int, int], _DailyBudget] = {}
        self._trimmed_on: date | None = None

    async def count_request(self, caller: Caller) -> None:
        """Count one request. Raises LimitError where the last minute has seen as many as the key may make."""
        limit = caller.limits.requests_per_minute
        if limit is None:
            return
        seconds = await self._counts.count_request(caller.key_id, limit)
        if seconds is not None:
            raise LimitError(
                f"This API key may make {limit} requests a minute, and has; wait, then go on.",
                "requests_per_minute",
                max(1, math.ceil(seconds)),
            )

    @contextlib.asynccontextmanager
    async def call_slot(self, caller: Caller) -> AsyncIterator[None]:
        """Count one call of a tool, for as long as it takes.

        Raises LimitError where the key has as many calls under way as it may have, or its budget of the day is spent.
        """
        at_once = caller.limits.concurrent_calls
        if at_once is not None and not await self._counts.begin_call(caller.key_id, at_once):
            raise LimitError(
                f"This API key may have {at_once} calls under way at the same time, and has; wait for one to end.",
                "concurrent_calls",
                1,
            )
        try:
            if caller.limits.calls_per_day is not None:
                await self._spend(caller, caller.limits.calls_per_day)
            yield
        finally:
            if at_once is not None:
                self._counts.end_call(caller.key_id)

    async def write_usage(self) -> None:
        """Give back what was taken and not used. Raises DatabaseError; what is left is given back the next time."""
        today = self._now().date()
        for key, budget in list(self._budgets.items()):
            await self._give_back(*key, budget)
            if budget.day != today:
                self._budgets.pop(key, None)
        self._counts.trim()
        if self._trimmed_on != today:
            await self._database.execute("trim_key_usage", today - timedelta(days=_USAGE_RETENTION_DAYS))
            self._trimmed_on = today

    async def _spend(self, caller: Caller, limit: int) -> None:
        now = self._now()
        key = (caller.tenant_id, caller.key_id)
        budget = self._budgets.get(key)
        if budget is None or budget.day != now.date():
            budget = self._budgets[key] = _DailyBudget(now.date())
        if budget.left <= 0:
            async with budget.lock:
                if budget.left <= 0:
                    share = max(1, limit // _BUDGET_SHARES)
                    budget.left += await self._database.fetchval("reserve_key_calls", *key, budget.day, share, limit)
                if budget.left <= 0:
                    raise _budget_exhausted(limit, now)
                budget.left -= 1
                return
        budget.left -= 1

    async def _give_back(self, tenant_id: int, key_id: int, budget: _DailyBudget) -> None:
        left, budget.left = budget.left, 0
        if not left:
            return
        try:
            await self._database.execute("release_key_calls", tenant_id, key_id, budget.day, left)
        except DatabaseError:
            budget.left += left
            raise


def _budget_exhausted(limit: int, now: datetime) -> LimitError:
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), timezone.utc)
    return LimitError(
        f"This API key may make {limit} calls a day, and has; the next day begins at 00:00 UTC.",
        "calls_per_day",
        max(1, math.ceil((midnight - now).total_seconds())),
    )
