"""What PostgreSQL knows of members whose connections end and come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.cluster.member import Member, new_member_id
from gateway.cluster.store import ClusterSession, MemberState, PostgresClusterStore
from gateway.database.pool import open_database
from gateway.errors import DatabaseUnavailableError
from gateway.settings import Settings
from tests.support.rows import value
from tests.support.waiting import until


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[PostgresClusterStore]:
    async with open_database(settings) as database:
        yield PostgresClusterStore(database)


async def beat(session: ClusterSession, member: Member) -> MemberState:
    states = await session.beat(member.id, ["key"])
    assert states is not None
    return next(state for state in states if state.member.id == member.id)


async def test_a_member_that_comes_again_before_its_former_connection_has_ended_has_what_that_had(
    store: PostgresClusterStore,
) -> None:
    """Of a network that has failed PostgreSQL may not know for hours, and nobody would lead meanwhile."""
    member = Member(new_member_id(), "127.0.0.1:1")
    async with store.session(lambda: None) as later, store.session(lambda: None) as former:
        await former.join(member, ["key"])
        assert await former.try_lead()
        assert (await beat(later, member)).is_connected

        async def leads() -> bool:
            return await later.try_lead()

        await until(leads)
        await beat(later, member)
        state = await beat(later, member)
        assert (state.is_connected, state.leads) == (True, True)
        with pytest.raises(DatabaseUnavailableError):
            await former.beat(member.id, ["key"])
    async with store.session(lambda: None) as other:

        async def is_gone() -> bool:
            return await other.reap(member.id)

        await until(is_gone)
        # Who was taken for dead has no lock to hold.
        assert await other.beat(member.id, ["key"]) is None


async def test_a_leader_that_has_said_nothing_for_long_is_it_no_more(
    store: PostgresClusterStore, settings: Settings
) -> None:
    silent, member = (Member(new_member_id(), f"127.0.0.1:{port}") for port in (1, 2))
    async with store.session(lambda: None) as leading, store.session(lambda: None) as other:
        await leading.join(silent, ["key"])
        assert await leading.try_lead()
        await other.join(member, ["key"])
        for _ in range(3):
            assert not await other.try_lead()
        assert (await beat(leading, silent)).leads
        sql = "UPDATE cluster_members SET seen_at = now() - interval '11 seconds' WHERE id = $1 RETURNING id"
        assert await value(settings.database.url, sql, silent.id) == silent.id

        async def leads() -> bool:
            return await other.try_lead()

        await until(leads)
        assert (await beat(other, member)).leads
        with pytest.raises(DatabaseUnavailableError):
            await leading.beat(silent.id, ["key"])


async def test_a_server_that_falls_to_a_member_which_stops_in_that_moment_falls_to_another(
    store: PostgresClusterStore, settings: Settings
) -> None:
    url = settings.database.url
    first, second = (Member(new_member_id(), f"127.0.0.1:{port}") for port in (1, 2))
    server_id = await value(
        url,
        "INSERT INTO servers (tenant_id, name, slug, transport, url) "
        "VALUES (1, 'Web', 'web', 'http', 'https://one.example/mcp') RETURNING id",
    )
    connection = await asyncpg.connect(url)
    try:
        async with store.session(lambda: None) as session, store.session(lambda: None) as other:
            await session.join(first, ["key"])
            await other.join(second, ["key"])
            stopping = connection.transaction()
            await stopping.start()
            await connection.execute("DELETE FROM cluster_members WHERE id = $1", first.id)
            claiming = asyncio.ensure_future(store.claim_server(1, server_id, first.id))

            async def waits() -> bool:
                sql = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                return bool(await value(url, sql))

            await until(waits)
            await stopping.commit()
            assert await claiming == second.id
    finally:
        await connection.close()
