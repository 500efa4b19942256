from __future__ import annotations

import asyncio

import pytest

from gateway.finishing_task import FinishingTask


async def test_work_that_is_told_to_stop_ends_by_itself() -> None:
    task = FinishingTask(60.0)
    ended: list[str] = []

    async def work() -> None:
        await task.stopping.wait()
        ended.append("work")

    task.start(work())
    await task.finish()
    assert ended == ["work"]


async def test_work_that_does_not_stop_in_time_is_cancelled() -> None:
    task = FinishingTask(0.0)
    cancelled: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("work")
            raise

    task.start(work())
    await asyncio.sleep(0)
    await task.finish()
    assert cancelled == ["work"]


async def test_what_the_work_has_failed_with_is_raised_at_its_end() -> None:
    task = FinishingTask(60.0)

    async def work() -> None:
        raise ValueError("broken")

    task.start(work())
    with pytest.raises(ValueError, match="broken"):
        await task.finish()


async def test_what_never_began_ends_at_once() -> None:
    await FinishingTask(60.0).finish()
