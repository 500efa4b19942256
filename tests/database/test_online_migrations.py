"""Migrations while gateways go on: none rewrites a large table, nor goes through it without need."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bench.migrations import fill
from gateway.database.migrate import Migration, migrations_folder, read_migrations
from gateway.database.queries import statement
from tests.support.cluster import Cluster
from tests.support.rows import rows

# The first that the rule holds for. Those before came with databases of some hundred tools.
FIRST = 14
TOOLS = 1_000
LARGE = ("tools", "tool_embeddings", "tool_terms", "role_tools", "tool_calls", "audit_log")

# What goes through a large table once while others wait, each with the reason why that has to be, or is short.
READS = {
    "0020_tool_overrides": {"tools": "a check of a new column, and an index of the few that have a generated name"},
    "0022_call_results": {"tool_calls": "indexes that pages read; calls are written to the trace by the batch, later"},
}


@dataclass(frozen=True, slots=True)
class Done:
    """What a migration did to large tables: rewrote them, wrote many of their rows, went through them."""

    rewritten: set[str]
    written: set[str]
    read: set[str]


@pytest.fixture
async def former_url(cluster: Cluster, database_url: str) -> AsyncIterator[str]:
    """A database of a former version, with tools and calls."""
    name = f"former_{uuid.uuid4().hex}"
    await rows(database_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    url = cluster.url(name)
    try:
        await rows(url, statement("create_schema_migrations"))
        for migration in read_migrations(migrations_folder())[: FIRST - 1]:
            await _apply(url, migration)
        await fill(url, TOOLS, TOOLS)
        yield url
    finally:
        await cluster.drop(name)


async def _apply(url: str, migration: Migration) -> Done:
    # Counts are those of the connection.
    connection = await asyncpg.connect(url)
    try:
        before = await _files(connection)
        async with connection.transaction():
            await migration.apply(connection)
            counts = await connection.fetch(
                "SELECT relname, seq_tup_read AS read, n_tup_ins + n_tup_upd + n_tup_del AS written "
                "FROM pg_stat_xact_user_tables"
            )
        after = await _files(connection)
    finally:
        await connection.close()
    return Done(
        _large(table for table in before if after.get(table) != before[table]),
        _large(row["relname"] for row in counts if row["written"] >= TOOLS),
        _large(row["relname"] for row in counts if row["read"] >= TOOLS),
    )


async def _files(connection: asyncpg.Connection[Any]) -> dict[str, int]:
    """Where the rows of each table are; a table that was rewritten has them elsewhere."""
    sql = "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    return {row["relname"]: row["relfilenode"] for row in await connection.fetch(sql)}


def _large(tables: Iterable[str]) -> set[str]:
    """The large tables that these are, or are parts of."""
    return {name for table in tables for name in LARGE if re.fullmatch(rf"{name}(_\d{{4}}_\d{{2}})?", table)}


async def test_none_rewrites_a_large_table_or_goes_through_one_without_need(former_url: str) -> None:
    done = {each.name: await _apply(former_url, each) for each in read_migrations(migrations_folder())[FIRST - 1 :]}
    assert {name: each.rewritten for name, each in done.items() if each.rewritten} == {}
    assert {name: each.written for name, each in done.items() if each.written} == {}
    assert {name: each.read for name, each in done.items() if each.read} == {
        name: set(reasons) for name, reasons in READS.items()
    }


async def test_what_does_either_is_seen(former_url: str, tmp_path: Path) -> None:
    """Or the test above would show nothing."""
    texts = {
        "0001_rewrites": "ALTER TABLE tools ADD n bigint GENERATED ALWAYS AS IDENTITY; SELECT 1;",
        "0002_writes": "UPDATE tools SET category = 'git';",
        "0003_reads": "ALTER TABLE tools ADD m int CHECK (m > 0); CREATE INDEX c ON tool_calls (tenant_id, outcome);",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.sql").write_text(text)
    first, second, third = [await _apply(former_url, each) for each in read_migrations(tmp_path)]
    assert first.rewritten == {"tools"}
    assert second.written == {"tools"}
    assert third.read == {"tools", "tool_calls"}
