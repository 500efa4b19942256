"""Requests that are under way before there is a stream to their client."""

from __future__ import annotations

import asyncio

import pytest
from mcp.shared.exceptions import MCPError

from gateway.downstream.client_request import Result
from gateway.downstream.protocol.sessions.running_request import RunningRequest


async def test_one_for_which_there_is_no_stream_any_more_is_answered_and_says_nothing_else() -> None:
    running: RunningRequest[str] = RunningRequest()
    told: list[str | None] = []

    async def work() -> Result:
        told.append(await running.context())
        return {"said": told}

    running.start(work())
    assert not await running.answered_within(10)
    await running.finish_alone()
    assert running.result() == {"said": [None]}


async def test_one_that_is_finished_alone_is_cancelled_with_whoever_waits_for_it() -> None:
    running: RunningRequest[str] = RunningRequest()

    async def work() -> Result:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    running.start(work())
    assert not await running.answered_within(0)
    waiting = asyncio.create_task(running.finish_alone())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    with pytest.raises(MCPError, match="cancelled"):
        running.result()
