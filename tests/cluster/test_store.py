"""What PostgreSQL knows of members whose connections end and come again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.cluster.member import Member, new_member_id
from gateway.cluster.store import ClusterSession, MemberState, PostgresClusterStore
from gateway.database.pool import open_database
from gateway.settings import Settings
from tests.support.waiting import until


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[PostgresClusterStore]:
    async with open_database(settings) as database:
        yield PostgresClusterStore(database)


async def beat(session: ClusterSession, member: Member) -> MemberState:
    states = await session.beat(member.id, ["key"])
    assert states is not None
    return next(state for state in states if state.member.id == member.id)


async def test_a_member_that_comes_again_before_its_former_connection_has_ended_counts_as_connected(
    store: PostgresClusterStore,
) -> None:
    member = Member(new_member_id(), "127.0.0.1:1")
    async with store.session(lambda: None) as later:
        async with store.session(lambda: None) as former:
            await former.join(member, ["key"])
            assert await former.try_lead()
            # It has the lock as long as the database believes in it.
            assert (await beat(later, member)).is_connected
            assert not await later.try_lead()

        async def is_leader_again() -> bool:
            return await later.try_lead()

        await until(is_leader_again)
        await beat(later, member)
        state = await beat(later, member)
        assert (state.is_connected, state.leads) == (True, True)
    async with store.session(lambda: None) as other:

        async def is_gone() -> bool:
            return await other.reap(member.id)

        await until(is_gone)
        # Who was taken for dead has no lock to hold.
        assert await other.beat(member.id, ["key"]) is None
