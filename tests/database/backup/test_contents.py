"""What of each table is in a backup, and there again after a restore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pgvector.asyncpg import register_vector

from gateway.database.backup.archive import BackupReader
from gateway.database.backup.backup import VECTORS, tables_left_out, write_backup
from gateway.database.backup.restore import restore_backup
from gateway.database.queries import statement
from gateway.errors import BackupError
from tests.isolation.owner import ID, fill
from tests.support.cluster import Cluster
from tests.support.rows import rows, value


@pytest.fixture
async def filled_url(database_url: str) -> str:
    """A database with a row in nearly every table."""
    connection = await asyncpg.connect(database_url)
    try:
        await register_vector(connection)
        await fill(connection)
        await connection.execute(
            "INSERT INTO guard_rules (tenant_id, name, guard, action, stages, subjects) "
            "VALUES ($1, 'g', 'size', 'deny', '{arguments}', '{calls}')",
            ID,
        )
    finally:
        await connection.close()
    return database_url


@pytest.fixture
async def other_url(cluster: Cluster) -> AsyncIterator[str]:
    name = await cluster.create()
    yield cluster.url(name)
    await cluster.drop(name)


async def _restore(url: str, file: Path, *, replace: bool = False) -> None:
    with BackupReader(file) as reader:
        await restore_backup(url, reader, replace=replace)


async def _contents(url: str) -> dict[str, list[str]]:
    """The rows of each table as text, without what means nothing elsewhere."""
    connection = await asyncpg.connect(url)
    try:
        found = {}
        for table in await connection.fetch(statement("stored_tables")):
            columns = ", ".join(table["columns"])
            sql = f"SELECT ({columns})::text FROM {table['name']} ORDER BY 1"
            found[table["name"]] = [row[0] for row in await connection.fetch(sql)]
        return found
    finally:
        await connection.close()


_COMPATIBLE = "SELECT number, compatible FROM schema_migrations ORDER BY number"


@pytest.mark.parametrize("with_vectors", [True, False])
async def test_each_table_is_there_again_but_for_what_passes_by_itself(
    filled_url: str, other_url: str, tmp_path: Path, with_vectors: bool
) -> None:
    before = await _contents(filled_url)
    made = {table for table, found in before.items() if found}
    assert {"persons", "connections", "guard_rules", "tool_examples", "learnt_embeddings", "call_approvals"} <= made
    await write_backup(filled_url, tmp_path / "all.backup", with_vectors=with_vectors)
    await _restore(other_url, tmp_path / "all.backup")
    after = await _contents(other_url)
    left_out = tables_left_out(with_vectors)
    assert left_out - before.keys() == set()
    assert {table for table in VECTORS if after[table]} == (set(VECTORS) & made if with_vectors else set())
    # What was asked for, and not decided or used, is over.
    approvals = after.pop("call_approvals"), before.pop("call_approvals")
    assert [text.replace(",expired,f,", ",asked,t,") for text in approvals[0]] == approvals[1]
    # It is another one, and what it was before.
    kept = before.keys() - left_out - {"installation"}
    # The end of approvals is in the trace, as is all that was there.
    traces = {table for table in kept if table.startswith("audit_log_")}
    assert all(set(before[table]) <= set(after[table]) for table in traces)
    assert {table: after[table] for table in kept - traces} == {table: before[table] for table in kept - traces}
    # Which version runs on the database is as it was.
    assert await rows(other_url, _COMPATIBLE) == await rows(filled_url, _COMPATIBLE)
    assert {table for table in left_out if after[table]} <= {"schema_migrations"}


@pytest.mark.parametrize("with_vectors", [True, False])
async def test_nothing_that_is_in_a_backup_refers_to_what_is_not(database_url: str, with_vectors: bool) -> None:
    left_out = tables_left_out(with_vectors)
    references = await rows(
        database_url,
        "SELECT conrelid::regclass::text AS source, confrelid::regclass::text AS target FROM pg_constraint "
        "WHERE contype = 'f' AND conparentid = 0",
    )
    assert len(references) > 30
    assert {row["source"] for row in references if row["target"] in left_out} <= left_out


async def test_a_copy_is_told_from_what_it_is_a_copy_of_and_a_database_that_is_restored_stays_the_one_that_it_was(
    filled_url: str, other_url: str, tmp_path: Path
) -> None:
    installation = "SELECT id FROM installation"
    # Databases of tests are copies of one.
    await rows(other_url, "UPDATE installation SET id = gen_random_uuid()")
    ids = [await value(url, installation) for url in (filled_url, other_url)]
    await write_backup(filled_url, tmp_path / "all.backup")
    for url in (other_url, filled_url):
        await _restore(url, tmp_path / "all.backup", replace=True)
    assert [await value(url, installation) for url in (filled_url, other_url)] == ids
    assert ids[0] != ids[1]


async def test_an_empty_database_becomes_another_one_and_knows_what_it_was_restored_from(
    filled_url: str, other_url: str, tmp_path: Path
) -> None:
    await write_backup(filled_url, tmp_path / "all.backup")
    await rows(other_url, "DROP SCHEMA public CASCADE")
    await rows(other_url, "CREATE SCHEMA public")
    await _restore(other_url, tmp_path / "all.backup")
    restored_from = await value(filled_url, "SELECT id FROM installation")
    assert await value(other_url, "SELECT id FROM installation") != restored_from
    assert await value(other_url, "SELECT former_ids FROM installation") == [restored_from]


@pytest.mark.parametrize(
    "made",
    [
        "INSERT INTO roles (tenant_id, name, default_visibility) VALUES (1, 'readers', 'ALLOW')",
        "INSERT INTO persons (tenant_id, issuer, subject, name) VALUES (1, 'i', 's', 'n')",
        "INSERT INTO guard_rules (tenant_id, name, guard, action, stages, subjects) "
        "VALUES (1, 'g', 'size', 'deny', '{arguments}', '{calls}')",
    ],
)
async def test_nothing_that_somebody_made_is_restored_over(
    database_url: str, other_url: str, tmp_path: Path, made: str
) -> None:
    await write_backup(database_url, tmp_path / "empty.backup")
    await rows(other_url, made)
    with pytest.raises(BackupError, match="give --replace to restore in their place"):
        await _restore(other_url, tmp_path / "empty.backup")
    await _restore(other_url, tmp_path / "empty.backup", replace=True)


async def test_a_database_in_which_a_first_start_failed_is_restored_into(
    database_url: str, other_url: str, tmp_path: Path
) -> None:
    await write_backup(database_url, tmp_path / "empty.backup")
    connection: asyncpg.Connection[Any] = await asyncpg.connect(other_url)
    try:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.execute(statement("create_schema_migrations"))
    finally:
        await connection.close()
    await _restore(other_url, tmp_path / "empty.backup")
    assert await value(other_url, "SELECT count(*) FROM roles") == 1
