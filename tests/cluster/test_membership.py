"""Beats: many who look for members, and many members that do not answer, hold none of them up."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence

from gateway.cluster.member import Member, new_member_id
from gateway.cluster.membership import Membership
from gateway.cluster.store import MemberState
from tests.cluster.simulated_world import Host, SimulatedDatabase, SimulatedStore
from tests.cluster.virtual_time import run_in_virtual_time

KEYS = ["key"]


def host() -> Host:
    made = Host("host:1")
    made.thawed.set()
    return made


async def never(_: Member) -> bool:
    """Takes as long as a try takes that nobody answers."""
    await asyncio.sleep(4)
    return False


@contextlib.asynccontextmanager
async def member(store: SimulatedStore) -> AsyncIterator[Membership]:
    membership = Membership(store, lambda: KEYS, "host:1", never)
    async with membership.running():
        yield membership


def test_who_looks_for_members_that_are_not_there_has_the_database_asked_a_few_times_a_second() -> None:
    async def look() -> None:
        database = SimulatedDatabase(random.Random(1))
        loop = asyncio.get_running_loop()
        beats: list[float] = []
        async with member(SimulatedStore(database, host())) as membership:
            see = membership._see

            def noted(states: Sequence[MemberState]) -> None:
                beats.append(loop.time())
                see(states)

            membership._see = noted  # type: ignore[method-assign]
            until = loop.time() + 10

            async def seek() -> None:
                while loop.time() < until:
                    assert await membership.find(new_member_id()) is None

            await asyncio.gather(*(seek() for _ in range(20)))
        assert 10 <= len(beats) <= 60, len(beats)

    run_in_virtual_time(look())


def test_who_was_taken_for_dead_comes_back_also_after_another_key_has_kept_it_out() -> None:
    async def come_back() -> None:
        database = SimulatedDatabase(random.Random(1))
        store = SimulatedStore(database, host())
        async with member(store) as membership:
            former = membership.id
            async with store.session(lambda: None) as other:
                database.delete(former)
                await other.join(Member(new_member_id(), "host:2"), ["another key"])
                await asyncio.sleep(5)
                assert membership.id not in database.rows
            await asyncio.sleep(5)
            assert not membership.is_rejoining
            assert membership.id in database.rows

    run_in_virtual_time(come_back())


def test_members_that_do_not_answer_are_taken_for_dead_at_the_same_time() -> None:
    async def take() -> None:
        database = SimulatedDatabase(random.Random(1))
        async with SimulatedStore(database, host()).session(lambda: None) as session:
            for number in range(10):
                await session.join(Member(f"m{number:012x}", "host:2"), KEYS)
        assert len(database.rows) == 10
        began_at = asyncio.get_running_loop().time()
        async with member(SimulatedStore(database, host())):
            assert len(database.rows) == 1
            assert asyncio.get_running_loop().time() - began_at < 6

    run_in_virtual_time(take())
