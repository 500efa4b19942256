"""Requests that wait for one server: in turn, calls before listings, and not without end."""

from __future__ import annotations

import asyncio
from functools import partial

import anyio
import pytest

from gateway.errors import UpstreamBusyError
from gateway.upstream.sessions.call_slots import CallSlots


class Asking:
    """Asks for slots, and says in which order they were had."""

    def __init__(self, slots: CallSlots) -> None:
        self._slots = slots
        self.had: list[str] = []

    async def ask(self, name: str, hold: float = 0.01, seconds: float = 5.0, *, is_listing: bool = False) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        async with self._slots.slot(deadline, is_listing=is_listing):
            self.had.append(name)
            await asyncio.sleep(hold)


async def test_calls_go_before_listings_and_each_in_its_turn() -> None:
    asking = Asking(CallSlots("Some", 1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asking.ask, "first")
        await asyncio.sleep(0)
        for name in ("list 1", "call 1", "list 2", "call 2"):
            tasks.start_soon(partial(asking.ask, name, is_listing=name.startswith("list")))
    assert asking.had == ["first", "call 1", "call 2", "list 1", "list 2"]


async def test_what_gets_no_slot_in_time_is_told_that_the_server_is_busy() -> None:
    asking = Asking(CallSlots("Some", 1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asking.ask, "first", 0.3)
        await asyncio.sleep(0)
        with pytest.raises(UpstreamBusyError, match="Server Some is busy with 1 calls"):
            await asking.ask("late", seconds=0.05)
    await asking.ask("after")
    assert asking.had == ["first", "after"]


async def test_what_would_wait_behind_too_many_is_told_so_at_once() -> None:
    asking = Asking(CallSlots("Some", 2))
    tasks = [asyncio.create_task(asking.ask("one", 5.0)) for _ in range(34)]
    await asyncio.sleep(0)
    with anyio.fail_after(1), pytest.raises(UpstreamBusyError):
        await asking.ask("too many")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Whoever gave up in the moment of its turn has passed it on.
    await asking.ask("after")
    assert asking.had == ["one", "one", "after"]
