"""Writing a backup: all tables as they are at one moment, while gateways go on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from gateway.database.backup.archive import AppliedMigration, BackupWriter, Contents, Manifest, StoredTable, TableWriter
from gateway.database.backup.backup_connection import backup_connection
from gateway.database.connection import CONNECTION_ERRORS
from gateway.database.queries import statement
from gateway.errors import BackupError

RECORD_OF_MIGRATIONS = "schema_migrations"

# What ends by itself within the hour, or can be made anew: sessions, attempts to sign in, links, results cut short, a
# cache, and who is running.
_PASSING = frozenset(
    {
        "admin_sessions",
        "admin_setup",
        "cluster_members",
        "connection_links",
        "cosine_baselines",
        "feed_reports",
        "grant_locks",
        "kept_results",
        "openid_attempts",
        "person_sessions",
        "person_sign_ins",
        "query_embeddings",
        "server_owners",
        "sign_in_failures",
    }
)
VECTORS = frozenset(
    {"embedding_spaces", "tool_embeddings", "former_embeddings", "tool_example_embeddings", "learnt_embeddings"}
)
"""What is embedded anew, or learnt anew from examples, where it is missing."""

# How a sealed text begins, as COPY writes bytes: its form, then the fingerprint of its key.
_SEALED = re.compile(rb"\\\\x6d67323a([0-9a-f]{16})")
_MONTH = re.compile(r"FROM \('([^']+)'\)")


def tables_left_out(with_vectors: bool) -> frozenset[str]:
    """The tables of which no rows are in a backup; none that is in it refers to one of them."""
    return _PASSING | {RECORD_OF_MIGRATIONS} | (frozenset() if with_vectors else VECTORS)


async def write_backup(url: str, path: Path, *, with_vectors: bool = True) -> Manifest:
    """Write what the database at `url` holds to `path`.

    Raises BackupError where the file cannot be written, or the database changes its shape or goes away meanwhile.
    """
    async with backup_connection(url) as connection:
        try:
            with BackupWriter(path) as writer:
                # Every table is read as it was at the first statement.
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    return writer.finish(await _read_all(connection, writer, with_vectors))
        except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            raise BackupError(f"The backup was broken off, and is not kept: {error}; try again.") from None


async def _read_all(connection: asyncpg.Connection[Any], writer: BackupWriter, with_vectors: bool) -> Contents:
    applied = [
        AppliedMigration(row["number"], row["name"], row["checksum"])
        for row in await connection.fetch(statement("applied_migrations"))
    ]
    left_out = tables_left_out(with_vectors)
    keys: set[str] = set()
    tables = []
    for row in await connection.fetch(statement("stored_tables")):
        if row["name"] in left_out:
            continue
        places = [place for place, holds in enumerate(row["holds_bytes"]) if holds]
        sink = _Sink(writer.open_table(row["name"]), places, keys)
        copied = await connection.copy_from_table(
            row["name"], columns=row["columns"], output=sink.write, format="text", timeout=None
        )
        month = _MONTH.search(row["bounds"] or "")
        count = int(copied.rpartition(" ")[2])
        tables.append(
            StoredTable(row["name"], row["columns"], count, sink.close(), row["parent"], month[1] if month else None)
        )
    positions = {row["name"]: row["last_value"] for row in await connection.fetch(statement("sequence_positions"))}
    return Contents(applied, tables, positions, sorted(keys), with_vectors)


class _Sink:
    """Takes the rows that COPY sends, and notes the keys that sealed texts in their columns of bytes need."""

    def __init__(self, table: TableWriter, places: Sequence[int], keys: set[str]) -> None:
        self._table = table
        self._places = places
        self._keys = keys
        self._rest = b""

    async def write(self, chunk: bytes) -> None:
        self._table.write(chunk)
        if not self._places:
            return
        *rows, self._rest = (self._rest + chunk).split(b"\n")
        for row in rows:
            values = row.split(b"\t")
            for place in self._places:
                if sealed := _SEALED.match(values[place]):
                    self._keys.add(sealed[1].decode())

    def close(self) -> str:
        return self._table.close()
