"""Lists that are answered in sessions of another process: as new as what their client has been told of there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from gateway.components import open_components
from gateway.database.notices import Notices
from gateway.downstream.changes.list_leases import LEASE_SECONDS
from gateway.settings import Settings
from tests.cluster.conftest import Forwarded, Pair, opened_elsewhere
from tests.cluster.replicas import replica
from tests.cluster.simulated_node import TENANT, Node, World
from tests.cluster.test_processes import ACCEPT, INITIALIZE, prepare
from tests.cluster.virtual_time import run_in_virtual_time
from tests.downstream.listening import TOOLS
from tests.downstream.protocol.sessions.test_client_sessions import PING
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

LIST = {**PING, "method": "tools/list"}


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> set[Notices]:
    """Those to which the database has not said anything for a while, though they are connected."""
    kept_waiting: set[Notices] = set()
    hear = Notices._on_notification

    def hear_later(self: Notices, *what: Any) -> None:
        if self not in kept_waiting:
            hear(self, *what)

    monkeypatch.setattr(Notices, "_on_notification", hear_later)
    return kept_waiting


async def until_answered_here(
    other: RunningGateway, headers: dict[str, str], forwarded: Forwarded, message: dict[str, Any]
) -> None:
    async def is_here() -> bool:
        forwarded.requests.clear()
        assert (await other.post(message, **headers)).status_code == 200
        return not forwarded.requests

    await until(is_here)


@contextlib.asynccontextmanager
async def stream_of(http: httpx2.AsyncClient, url: str, headers: dict[str, str]) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of the stream on which the client of a session is told of changes."""
    asked = {**headers, "Accept": "text/event-stream"}
    async with http.stream("GET", f"{url}/mcp", headers=asked) as response:
        assert response.status_code == 200
        yield response.aiter_lines()


async def told(lines: AsyncIterator[str], method: str) -> None:
    """Return when the client has been told."""
    with anyio.fail_after(15):
        async for line in lines:
            if method in line:
                return


@pytest.mark.usefixtures("unhurried")
async def test_a_list_is_answered_where_it_lands(pair: Pair, forwarded: Forwarded) -> None:
    _, other, headers = await opened_elsewhere(pair, forwarded)
    await until_answered_here(other, headers, forwarded, LIST)
    assert '"tool_search"' in (await other.post(LIST, **headers)).text


@pytest.mark.usefixtures("unhurried")
async def test_who_was_told_of_a_change_is_listed_it_by_a_process_that_has_not_heard_of_it(
    late: set[Notices], pair: Pair, forwarded: Forwarded
) -> None:
    holder, other, headers = await opened_elsewhere(pair, forwarded)
    async with stream_of(holder.http, holder.url, headers) as lines:
        for name in ("Walrus", "Otter", "Heron"):
            await until_answered_here(other, headers, forwarded, LIST)
            late.add(other.parts.notices)
            await pair.add_talker(name)
            await told(lines, TOOLS)
            assert name in (await other.post(LIST, **headers)).text
            # All the same it goes on to answer lists itself.
            await until_answered_here(other, headers, forwarded, LIST)
            assert name in (await other.post(LIST, **headers)).text


async def test_a_process_that_hangs_keeps_a_change_from_nobody_and_lists_nothing_older_when_it_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    key = await prepare(settings, tmp_path)
    async with (
        open_components(settings) as parts,
        replica(settings, key) as holder,
        replica(settings, key) as other,
        httpx2.AsyncClient(timeout=60) as http,
    ):
        opened = await holder.post(INITIALIZE, **ACCEPT)
        headers = {**ACCEPT, "X-API-Key": key, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
        assert (await other.post({**PING, "method": "notifications/initialized"}, **headers)).status_code == 200
        async with stream_of(http, holder.url, headers) as lines:
            for _ in range(20):
                assert "Waiting" in (await other.post(LIST, **headers)).text
            os.kill(other.process.pid, signal.SIGSTOP)
            try:
                await parts.servers.set_enabled(1, 1, False)
                await told(lines, TOOLS)
                listing = asyncio.create_task(other.post(LIST, **headers))
                # It is there to be answered as soon as the process goes on.
                await asyncio.sleep(0.1)
            finally:
                os.kill(other.process.pid, signal.SIGCONT)
            assert "Waiting" not in (await listing).text


def run_with_two(scenario: Callable[[Node, Node, str], Awaitable[None]]) -> None:
    """Run a scenario with two processes and a session of the first, in virtual time."""

    async def run() -> None:
        world = World(random.Random(0))
        holder, other = Node(world), Node(world)
        await asyncio.sleep(10)
        session = holder.open_session()
        other.leased.may_answer(session, TENANT)
        await asyncio.sleep(0.3)
        assert other.leased.may_answer(session, TENANT)
        await scenario(holder, other, session)
        await other.stop()
        await holder.stop()
        assert not world.violations

    run_in_virtual_time(run())


def test_a_lease_that_was_given_before_a_change_is_not_taken_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(holder: Node, other: Node, session: str) -> None:
        read = asyncio.Event()

        async def catch_up(_: int) -> None:
            await read.wait()

        monkeypatch.setattr(other.leased, "_catch_up", catch_up)
        await asyncio.sleep(LEASE_SECONDS)
        assert not other.leased.may_answer(session, TENANT)
        await asyncio.sleep(0.3)
        await holder.leases.end(TENANT)
        read.set()
        await asyncio.sleep(0)
        assert not other.leased.may_answer(session, TENANT)

    run_with_two(scenario)


def test_a_lease_counts_from_when_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(_: Node, other: Node, session: str) -> None:
        async def catch_up(_: int) -> None:
            await asyncio.sleep(LEASE_SECONDS * 0.8)

        monkeypatch.setattr(other.leased, "_catch_up", catch_up)
        await asyncio.sleep(LEASE_SECONDS)
        assert not other.leased.may_answer(session, TENANT)
        await asyncio.sleep(LEASE_SECONDS * 0.95)
        assert other.leased.may_answer(session, TENANT)
        await asyncio.sleep(LEASE_SECONDS * 0.1)
        assert not other.leased.may_answer(session, TENANT)

    run_with_two(scenario)


def test_who_has_not_confirmed_the_end_of_a_lease_is_given_no_other_until_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(holder: Node, other: Node, session: str) -> None:
        async def say_nothing(*_: Any) -> None: ...

        with monkeypatch.context() as silent:
            silent.setattr(other.leased, "_confirm_end", say_nothing)
            telling = asyncio.ensure_future(holder.tell())
            await asyncio.sleep(0.1)
            while not telling.done():
                assert not other.leased.may_answer(session, TENANT)
                await asyncio.sleep(0.02)
        await holder.tell()
        assert not other.leased.may_answer(session, TENANT)

    run_with_two(scenario)
