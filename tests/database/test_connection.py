"""Statements on one connection, and what they raise."""

from __future__ import annotations

import asyncio

import pytest

from gateway.access.tenants import create_tenant
from gateway.database.pool import Database, open_database
from gateway.errors import ConflictError, DatabaseUnavailableError, InvalidInputError
from gateway.settings import Settings
from tests.support.rows import rows


async def version(database: Database) -> int:
    row = await database.fetchrow("tenant_by_slug", "default")
    assert row is not None
    return int(row["catalogue_version"])


async def test_a_transaction_is_kept_as_a_whole_or_not_at_all(settings: Settings) -> None:
    async def fail(database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.fetchval("bump_catalogue_version", 1)
            raise RuntimeError

    async with open_database(settings) as database:
        with pytest.raises(RuntimeError):
            await fail(database)
        assert await version(database) == 1


async def test_a_connection_that_is_lost_in_a_transaction_is_told(settings: Settings) -> None:
    async def lose(database: Database) -> None:
        async with database.transaction() as transaction:
            await transaction.fetchval("bump_catalogue_version", 1)
            await rows(
                database.url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            await transaction.fetchval("bump_catalogue_version", 1)

    async with open_database(settings) as database:
        with pytest.raises(DatabaseUnavailableError):
            await lose(database)
        assert await version(database) == 1


@pytest.mark.parametrize("slug", ["a\x00b", "\ud800"])
async def test_characters_that_the_database_does_not_have_are_bad_input(settings: Settings, slug: str) -> None:
    async with open_database(settings) as database:
        with pytest.raises(InvalidInputError):
            await database.fetchrow("tenant_by_slug", slug)
        assert await database.fetchrow("tenant_by_slug", "default")


async def test_what_is_there_already_is_a_conflict(settings: Settings) -> None:
    async with open_database(settings) as database:
        with pytest.raises(ConflictError):
            await database.execute("record_migration", 1, "again", "x")


async def test_one_of_two_that_wait_for_each_other_is_told_to_try_again(settings: Settings) -> None:
    async with open_database(settings) as database:
        tenants = [1, (await create_tenant(database, "other", "Other")).id]
        holding = [asyncio.Event(), asyncio.Event()]

        async def change(first: int) -> None:
            async with database.transaction() as transaction:
                await transaction.execute("lock_tenant", tenants[first])
                holding[first].set()
                await holding[1 - first].wait()
                await transaction.execute("lock_tenant", tenants[1 - first])

        ended = await asyncio.gather(change(0), change(1), return_exceptions=True)
    assert [type(error) for error in ended if error is not None] == [DatabaseUnavailableError]
