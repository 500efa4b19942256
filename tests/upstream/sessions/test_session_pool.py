"""Sessions that belong to one client each: how many there may be, and when they end."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from gateway.errors import UpstreamBusyError, UpstreamUnavailableError
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.sessions.session_slot import SessionSlot
from gateway.upstream.spec import ServerSpec
from tests.upstream.conftest import raw, serving, web
from tests.upstream.processes import alive, children, gone, until
from tests.upstream.servers.odd import Odd


def own(**changes: Any) -> ServerSpec:
    return raw(session="per_client", **changes)


async def pid_of(pool: UpstreamPool, spec: ServerSpec, key: str) -> int:
    """The process that serves the client `key`."""
    result = await pool.request(spec, UpstreamRequest("tools/call", {"name": "pids"}, session_key=key))
    pid: int = json.loads(result["content"][0]["text"])[0]
    return pid


def slots() -> int:
    gc.collect()
    return sum(isinstance(thing, SessionSlot) for thing in gc.get_objects())


async def test_an_idle_session_of_a_client_ends_and_leaves_nothing_behind(pool: UpstreamPool) -> None:
    before = slots()
    spec = own(idle_stop_seconds=0.3)
    pids = [await pid_of(pool, spec, f"client {number}") for number in range(3)]
    await gone(*pids)
    await until(lambda: slots() == before)
    assert pool.status(1).state == "idle"
    assert alive(await pid_of(pool, spec, "client 1"))


async def test_an_idle_session_of_a_client_over_http_ends_too(pool: UpstreamPool) -> None:
    odd = Odd()
    async with serving(odd.app) as root:
        spec = web(f"{root}/handshake", session="per_client", idle_stop_seconds=0.3)
        for key in ("a", "b"):
            await pool.request(spec, UpstreamRequest("tools/call", {"name": "x"}, session_key=key))
        await until(lambda: [kind for kind, _, _ in odd.seen].count("DELETE") == 2)
        await pool.close_server(1)


async def test_a_session_that_could_not_be_opened_leaves_nothing_behind(pool: UpstreamPool) -> None:
    before = slots()
    for number in range(3):
        with pytest.raises(UpstreamUnavailableError, match="exited with code 7"):
            await pool.request(
                own(args=raw("exit").args), UpstreamRequest("tools/call", {"name": "echo"}, session_key=str(number))
            )
    await until(lambda: slots() == before)
    assert "no licence" in pool.status(1).stderr


@pytest.fixture
async def pool_of_two(no_child_is_left: None) -> AsyncIterator[UpstreamPool]:
    """A pool in which two clients may have a process for themselves."""
    async with UpstreamPool(UpstreamSettings(pause_seconds=0.5), max_client_processes=2) as opened:
        yield opened


async def test_a_further_client_takes_the_place_of_the_longest_idle(pool_of_two: UpstreamPool) -> None:
    pool, spec = pool_of_two, own()
    first, second = [await pid_of(pool, spec, key) for key in ("a", "b")]
    assert await pid_of(pool, spec, "a") == first
    third = await pid_of(pool, spec, "c")
    await gone(second)
    assert alive(first)
    assert alive(third)
    # The session that syncs and checks use is nobody's, and takes no place.
    await pool.list_all(spec, "tools/list", "tools")
    assert alive(first)
    assert alive(third)


async def test_where_every_session_has_a_call_in_flight_a_further_client_hears_that_the_server_is_busy(
    pool_of_two: UpstreamPool,
) -> None:
    pool, spec = pool_of_two, own()
    async with anyio.create_task_group() as tasks:
        pids = []
        for key in ("a", "b"):
            pids.append(await pid_of(pool, spec, key))
            tasks.start_soon(
                lambda key: pool.request(spec, UpstreamRequest("tools/call", {"name": "hang"}, session_key=key)), key
            )
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(UpstreamBusyError, match="Raw Server is busy with 2 clients, each in a session of its own"):
            await pid_of(pool, spec, "c")
        assert all(alive(pid) for pid in pids)
        tasks.cancel_scope.cancel()
    assert alive(await pid_of(pool, spec, "c"))


async def test_a_call_in_flight_ends_with_the_session_of_its_client(pool: UpstreamPool) -> None:
    before = slots()
    spec = own()
    pid = await pid_of(pool, spec, "a")
    async with anyio.create_task_group() as tasks:

        async def hang() -> None:
            with pytest.raises(UpstreamUnavailableError, match="Raw Server"):
                await pool.request(spec, UpstreamRequest("tools/call", {"name": "hang"}, session_key="a"))

        tasks.start_soon(hang)
        await anyio.wait_all_tasks_blocked()
        await pool.close_sessions("a")
    assert not alive(pid)
    await until(lambda: slots() == before)


async def test_a_call_that_comes_after_the_end_opens_a_session_that_ends_by_itself(pool: UpstreamPool) -> None:
    spec = own(idle_stop_seconds=0.3)
    await pid_of(pool, spec, "a")
    await pool.close_sessions("a")
    await gone(await pid_of(pool, spec, "a"))


@pytest.mark.parametrize("how", ["forgotten", "changed"])
async def test_a_call_that_waits_while_its_server_goes_opens_no_session_that_nobody_ends(
    pool: UpstreamPool, how: str
) -> None:
    spec = own(max_calls=1)
    before = children()
    await pid_of(pool, spec, "a")
    outcomes: list[str] = []

    async def call(key: str) -> None:
        try:
            await pool.request(
                spec, UpstreamRequest("tools/call", {"name": "slow", "arguments": {"seconds": 0.5}}, session_key=key)
            )
            outcomes.append(f"{key} done")
        except UpstreamUnavailableError as error:
            outcomes.append(f"{key}: {error.message}")

    async with anyio.create_task_group() as tasks:
        for key in ("a", "b"):
            tasks.start_soon(call, key)
            await anyio.wait_all_tasks_blocked()
        if how == "forgotten":
            await pool.close_server(1)
        else:
            await pool.request(own(env={"NEW": "1"}), UpstreamRequest("tools/call", {"name": "log"}, session_key="c"))
    assert "b: Server Raw Server was changed or removed; try again." in outcomes
    await until(lambda: len(children() - before) <= (2 if how == "changed" else 1))
