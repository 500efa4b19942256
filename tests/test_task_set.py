from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.task_set import TaskSet


async def test_a_task_is_held_until_it_is_done() -> None:
    tasks = TaskSet()
    go_on = asyncio.Event()
    task = tasks.spawn(_wait(go_on))
    assert len(tasks) == 1
    go_on.set()
    await task
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_what_still_runs_is_cancelled_and_has_ended_afterwards() -> None:
    tasks = TaskSet()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("work")

    tasks.spawn(work())
    await asyncio.sleep(0)
    await tasks.aclose()
    assert ended == ["work"]
    assert len(tasks) == 0


async def test_a_task_that_fails_is_told_of_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise RuntimeError("it broke")

    tasks = TaskSet()
    with caplog.at_level(logging.ERROR):
        task = tasks.spawn(work())
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert "it broke" in caplog.text


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
