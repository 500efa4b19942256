"""Limits of keys: each is counted, refused where it is reached, and named."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from gateway.access.caller import Caller, Limits
from gateway.access.keys import ApiKeys
from gateway.access.limits import Limiter
from gateway.access.tenants import Tenant
from gateway.database.pool import Database
from gateway.errors import LimitError


@pytest.fixture
async def caller(database: Database, tenant: Tenant) -> Caller:
    keys = ApiKeys(database)
    return await keys.authenticate((await keys.create(tenant.id, "ci", ["all"])).key)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0
        self.day = datetime(2026, 3, 1, 23, 59, tzinfo=timezone.utc)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.day


async def call(limiter: Limiter, caller: Caller) -> None:
    async with limiter.call_slot(caller):
        pass


async def test_a_minute_sees_no_more_requests_than_the_limit(database: Database, caller: Caller) -> None:
    clock = Clock()
    limiter = Limiter(database, clock.monotonic)
    limited = replace(caller, limits=Limits(requests_per_minute=3))
    for _ in range(3):
        await limiter.count_request(limited)
        clock.seconds += 10
    with pytest.raises(LimitError, match="3 requests a minute") as refused:
        await limiter.count_request(limited)
    assert (refused.value.limit, refused.value.retry_after) == ("requests_per_minute", 30)
    clock.seconds += 30
    await limiter.count_request(limited)
    with pytest.raises(LimitError):
        await limiter.count_request(limited)
    await limiter.count_request(caller)


async def test_calls_under_way_are_counted_until_they_end(database: Database, caller: Caller) -> None:
    limiter = Limiter(database)
    limited = replace(caller, limits=Limits(concurrent_calls=2))
    async with limiter.call_slot(limited):
        async with limiter.call_slot(limited):
            with pytest.raises(LimitError, match="2 calls under way") as refused:
                await call(limiter, limited)
            assert refused.value.limit == "concurrent_calls"
        await call(limiter, limited)
    with pytest.raises(ZeroDivisionError):
        async with limiter.call_slot(limited):
            raise ZeroDivisionError
    async with limiter.call_slot(limited), limiter.call_slot(limited):
        pass


async def test_a_days_budget_ends_at_midnight(database: Database, caller: Caller) -> None:
    clock = Clock()
    limiter = Limiter(database, clock.monotonic, clock.now)
    limited = replace(caller, limits=Limits(calls_per_day=3))
    for _ in range(3):
        await call(limiter, limited)
    with pytest.raises(LimitError, match="3 calls a day") as refused:
        await call(limiter, limited)
    assert (refused.value.limit, refused.value.retry_after) == ("calls_per_day", 60)
    clock.day += timedelta(minutes=1)
    await call(limiter, limited)


async def test_several_processes_together_make_as_many_calls_as_the_budget(database: Database, caller: Caller) -> None:
    limiters = [Limiter(database) for _ in range(3)]
    limited = replace(caller, limits=Limits(calls_per_day=1_000))
    done = 0

    async def use(limiter: Limiter) -> None:
        nonlocal done
        while True:
            try:
                await call(limiter, limited)
            except LimitError:
                return
            done += 1
            await asyncio.sleep(0)

    await asyncio.gather(*(use(limiter) for limiter in limiters))
    assert done == 1_000


async def test_a_small_budget_is_exact_in_several_processes(database: Database, caller: Caller) -> None:
    limiters = [Limiter(database) for _ in range(3)]
    limited = replace(caller, limits=Limits(calls_per_day=20))
    outcomes = await asyncio.gather(*(call(limiters[n % 3], limited) for n in range(60)), return_exceptions=True)
    assert outcomes.count(None) == 20
    assert all(isinstance(outcome, LimitError) for outcome in outcomes if outcome is not None)


async def test_a_restart_does_not_give_the_budget_back(database: Database, tenant: Tenant, caller: Caller) -> None:
    limited = replace(caller, limits=Limits(calls_per_day=1_000))
    before = Limiter(database)
    for _ in range(7):
        await call(before, limited)
    await before.write_usage()
    after = Limiter(database)
    await call(after, limited)
    await after.write_usage()
    (record,) = await ApiKeys(database).list(tenant.id)
    assert record.calls_today == 8
