from __future__ import annotations

import asyncio
import logging

import anyio
import pytest

from gateway.backoff import Backoff
from gateway.lasting_task import keep_going

AT_ONCE = Backoff(0.01, 0.01)


async def test_work_that_fails_is_told_of_and_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[int] = []

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise KeyError("what nobody thought of")

    with anyio.fail_after(30):
        await keep_going(work, AT_ONCE)
    assert begun == [0, 1, 2]
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 2
    assert all(record.exc_info is not None and "nobody thought of" in str(record.exc_info[1]) for record in told)


async def test_work_that_is_cancelled_ends() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(keep_going(work, AT_ONCE))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
