"""Migrations, on databases of their own."""

from __future__ import annotations

import asyncio
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.database.migrate import migrate, migrations_folder, pending_migrations, read_migrations
from gateway.database.queries import statement, statements
from gateway.errors import MigrationError
from tests.support.cluster import Cluster
from tests.support.rows import rows, value
from tests.support.waiting import until


@pytest.fixture
async def empty_url(cluster: Cluster, database_url: str) -> AsyncIterator[str]:
    """A database without anything in it."""
    name = f"empty_{uuid.uuid4().hex}"
    await rows(database_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield cluster.url(name)
    await cluster.drop(name)


@pytest.fixture
async def connection(empty_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    opened = await asyncpg.connect(empty_url)
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small migrations."""
    made = tmp_path / "migrations"
    made.mkdir()
    (made / "0001_first.sql").write_text("CREATE TABLE one (a int);")
    (made / "0002_second.sql").write_text("CREATE TABLE two (a int);")
    return made


async def refusal(connection: asyncpg.Connection[Any], folder: Path) -> str:
    with pytest.raises(MigrationError) as caught:
        await migrate(connection, folder)
    return caught.value.message


async def test_each_is_applied_once_and_in_order(connection: asyncpg.Connection[Any], folder: Path) -> None:
    assert await migrate(connection, folder) == ["0001_first", "0002_second"]
    assert await migrate(connection, folder) == []
    (folder / "0003_third.sql").write_text("ALTER TABLE two ADD b int;")
    assert await migrate(connection, folder) == ["0003_third"]


async def test_a_changed_one_stops_the_start(connection: asyncpg.Connection[Any], folder: Path) -> None:
    await migrate(connection, folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE one (a bigint);")
    told = "The migration 0001_first was changed after it was applied; restore the file as it was."
    assert await refusal(connection, folder) == told


async def test_the_version_before_runs_beside_a_newer_one_unless_that_one_says_that_it_cannot(
    connection: asyncpg.Connection[Any], folder: Path
) -> None:
    shutil.copy(next(migrations_folder().glob("*_side_by_side.sql")), folder / "0003_side_by_side.sql")
    former = folder.parent / "former"
    shutil.copytree(folder, former)
    (folder / "0004_more.sql").write_text("ALTER TABLE two ADD c int;")
    await migrate(connection, folder)
    assert await migrate(connection, former) == []
    (folder / "0005_less.sql").write_text("-- incompatible: it reads a column that goes\nALTER TABLE two DROP a;")
    await migrate(connection, folder)
    told = "The database has the migration 0005_less, which is newer than this version of ModelGate; update ModelGate."
    assert await refusal(connection, former) == told


async def test_a_plan_says_what_would_be_applied_and_applies_nothing(
    connection: asyncpg.Connection[Any], folder: Path
) -> None:
    assert [each.name for each in await pending_migrations(connection, folder)] == ["0001_first", "0002_second"]
    assert await connection.fetchval("SELECT to_regclass('schema_migrations')") is None
    await migrate(connection, folder)
    (folder / "0003_third.sql").write_text("-- incompatible: so it is\nSELECT 1;")
    (planned,) = await pending_migrations(connection, folder)
    assert (planned.name, planned.incompatible_because) == ("0003_third", "so it is")


async def test_one_that_waits_for_a_table_does_not_keep_others_from_it(
    connection: asyncpg.Connection[Any], folder: Path, empty_url: str
) -> None:
    await migrate(connection, folder)
    (folder / "0003_third.sql").write_text("ALTER TABLE two ADD b int;")
    holder = await asyncpg.connect(empty_url)
    reading = holder.transaction()
    await reading.start()
    await holder.fetch("SELECT * FROM two")
    migrating = asyncio.create_task(migrate(connection, folder))
    waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'two'::regclass"
    await until(lambda: value(empty_url, waiting))
    # Who comes while it waits gets its turn all the same, long before the holder ends.
    assert await asyncio.wait_for(value(empty_url, "SELECT count(*) FROM two"), 10) == 0
    assert not migrating.done()
    await reading.rollback()
    assert await migrating == ["0003_third"]
    await holder.close()


async def test_one_that_is_missing_stops_the_start(connection: asyncpg.Connection[Any], folder: Path) -> None:
    await migrate(connection, folder)
    (folder / "0001_first.sql").unlink()
    assert await refusal(connection, folder) == "The migration 0002_second stands where number 0001 should."
    await connection.execute("UPDATE schema_migrations SET number = 0, name = '0000_lost' WHERE number = 1")
    (folder / "0001_first.sql").write_text("SELECT 1;")
    assert await refusal(connection, folder) == "The database has the migration 0000_lost, which is missing here."


async def test_one_that_fails_leaves_nothing_of_itself(connection: asyncpg.Connection[Any], folder: Path) -> None:
    (folder / "0003_third.sql").write_text("CREATE TABLE three (a int); SELECT no_such_function();")
    told = await refusal(connection, folder)
    assert told.startswith("The migration 0003_third failed and was undone: ")
    assert await connection.fetchval("SELECT to_regclass('two')") == "two"
    assert await connection.fetchval("SELECT to_regclass('three')") is None
    (folder / "0003_third.sql").write_text("CREATE TABLE three (a int);")
    assert await migrate(connection, folder) == ["0003_third"]


async def test_a_file_with_another_kind_of_name_is_refused(connection: asyncpg.Connection[Any], folder: Path) -> None:
    (folder / "3_third.sql").write_text("SELECT 1;")
    assert await refusal(connection, folder) == "The migration 3_third.sql is not named NNNN_name.sql; rename it."


async def test_processes_that_start_at_once_apply_each_once(empty_url: str, folder: Path) -> None:
    (folder / "0003_slow.sql").write_text("SELECT pg_sleep(0.3);")

    async def start() -> list[str]:
        connection = await asyncpg.connect(empty_url)
        try:
            return await migrate(connection, folder)
        finally:
            await connection.close()

    applied = await asyncio.gather(*(start() for _ in range(4)))
    assert sorted(len(names) for names in applied) == [0, 0, 0, 3]
    assert await value(empty_url, "SELECT count(*) FROM schema_migrations") == 3


async def test_the_real_ones_apply_to_an_empty_database(connection: asyncpg.Connection[Any], tmp_path: Path) -> None:
    copied = tmp_path / "real"
    shutil.copytree(migrations_folder(), copied)
    assert await migrate(connection, copied) == [migration.name for migration in read_migrations(copied)]


async def test_every_statement_in_the_files_can_be_prepared(database_url: str) -> None:
    every = statements()
    fragments = set(re.findall(r"\{\{([a-z0-9_]+)\}\}", "\n".join(every.values())))
    connection = await asyncpg.connect(database_url)
    for name in every.keys() - fragments:
        await connection.prepare(statement(name, space=1, dimensions=256))
    await connection.close()


async def test_the_two_diagnostic_queries_run_as_they_are(database_url: str) -> None:
    first = "SELECT name, LENGTH(combined_embedding) AS embed_len FROM mcp_tools WHERE combined_embedding IS NOT NULL;"
    second = "SELECT t.name, p.visibility FROM mcp_tools t LEFT JOIN mcp_tool_permissions p ON t.id = p.tool_id;"
    assert await rows(database_url, first) == []
    assert await rows(database_url, second) == []
