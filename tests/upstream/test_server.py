"""Which silence counts against a server, and how long a call may take at most."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import anyio
import pytest

from gateway.errors import UpstreamBusyError, UpstreamTimeoutError
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import CallHooks, UpstreamRequest
from tests.upstream.conftest import raw
from tests.upstream.processes import gone
from tests.upstream.test_pool import call


async def test_a_server_that_works_on_a_call_need_not_answer_pings(pool: UpstreamPool) -> None:
    spec = raw(connect_timeout=0.5)
    await call(pool, spec, "log")
    results: list[Any] = []

    async def slow() -> None:
        results.append(await call(pool, spec, "slow", arguments={"seconds": 3.3}))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow)
        await anyio.wait_all_tasks_blocked()
        for _ in range(6):
            assert (await pool.check(spec)).state == "connected"
    assert results == ["done"]
    assert (await pool.check(spec)).latency_ms is not None


async def test_a_call_that_ended_while_the_ping_waited_excuses_the_server(pool: UpstreamPool) -> None:
    spec = raw(connect_timeout=0.6)
    await call(pool, spec, "log")

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(lambda: call(pool, spec, "slow", arguments={"seconds": 0.4}))
        await anyio.wait_all_tasks_blocked()
        for _ in range(2):
            assert (await pool.check(spec)).last_error is None


async def test_a_dead_server_that_nobody_calls_is_noticed_by_checks(pool: UpstreamPool) -> None:
    spec = raw(connect_timeout=0.5)
    pids = await call(pool, spec, "pids", timeout=5)
    os.kill(pids[0], signal.SIGSTOP)
    assert (await pool.check(spec)).state == "failing"
    for _ in range(4):
        await pool.check(spec)
    assert pool.status(1).state == "left_alone"
    await gone(*pids)


async def test_a_dead_server_that_is_called_is_noticed_by_its_calls(pool: UpstreamPool) -> None:
    spec = raw(call_timeout=0.5, connect_timeout=0.5)
    pids = await call(pool, spec, "pids", timeout=5)
    os.kill(pids[0], signal.SIGSTOP)

    async def one() -> None:
        with pytest.raises(UpstreamTimeoutError):
            await call(pool, spec, "log")

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
        await pool.check(spec)
    assert pool.status(1).state == "left_alone"
    await gone(*pids)


async def test_a_slow_server_that_keeps_answering_is_not_left_alone(pool: UpstreamPool) -> None:
    spec = raw(call_timeout=0.7, max_calls=16)
    await call(pool, spec, "log", timeout=5)
    outcomes: list[str] = []

    async def one() -> None:
        try:
            outcomes.append(await call(pool, spec, "slow", arguments={"seconds": 0.2}))
        except (UpstreamTimeoutError, UpstreamBusyError):
            outcomes.append("timeout")

    async with anyio.create_task_group() as tasks:
        for _ in range(16):
            tasks.start_soon(one)
    assert outcomes.count("timeout") > 5
    assert outcomes.count("done") >= 1
    assert pool.status(1).state == "connected"


async def test_progress_for_ever_comes_to_an_end_and_is_cancelled(no_child_is_left: None) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with UpstreamPool(UpstreamSettings(max_call_seconds=0.8)) as pool:
        spec = raw(call_timeout=0.4)
        arguments = {"steps": 30, "pause": 0.05}
        await call(pool, spec, "log", timeout=5)
        with (
            anyio.fail_after(10),
            pytest.raises(UpstreamTimeoutError, match=r"still worked on tools/call after 0\.8 s, .*max_call_seconds"),
        ):
            await call(pool, spec, "progress", arguments=arguments, hooks=CallHooks(on_progress=hear))
        assert len(heard) > 2
        with anyio.fail_after(5):
            # The cancellation is sent while the caller goes on.
            while not await call(pool, spec, "cancelled", timeout=5):
                pass
        assert pool.status(1).state == "connected"


async def test_a_server_that_is_given_longer_than_the_most_may_take_that_long(no_child_is_left: None) -> None:
    async with UpstreamPool(UpstreamSettings(max_call_seconds=0.1)) as pool:
        assert await call(pool, raw(call_timeout=5), "slow", arguments={"seconds": 0.3}) == "done"
        with pytest.raises(UpstreamTimeoutError, match=r"did not answer tools/call within 1 s"):
            await call(pool, raw(call_timeout=1), "hang")


async def test_a_caller_that_takes_no_progress_does_not_keep_its_slot(pool: UpstreamPool) -> None:
    async def hear(progress: float, total: float | None, message: str | None) -> None:
        await anyio.sleep_forever()

    spec = raw(max_calls=1, call_timeout=0.4)
    await call(pool, spec, "log", timeout=5)
    with anyio.fail_after(3):
        result = await pool.request(
            spec,
            UpstreamRequest(
                "tools/call",
                {"name": "progress", "arguments": {"steps": 2, "pause": 0.01}},
                hooks=CallHooks(on_progress=hear),
            ),
        )
    assert json.loads(result["content"][0]["text"]) == "done"
    assert await call(pool, spec, "log") == "done"


async def test_a_server_that_takes_longer_to_start_than_it_may_be_idle_serves_its_caller(pool: UpstreamPool) -> None:
    # The server of this mode knows only the handshake and has the gateway wait through its probe.
    spec = raw("mute", connect_timeout=2.0, idle_stop_seconds=0.4)
    assert await call(pool, spec, "log") == "done"
    assert pool.status(1).restarts == 0
