"""Reading a backup into a database, all of it or nothing.

The schema is made as it was when the backup was written, filled, and then brought up to date: data of an older version
goes through the same migrations as it would have in its own database.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from gateway.database.backup.archive import BackupReader, Manifest, StoredTable
from gateway.database.backup.backup_connection import backup_connection
from gateway.database.connection import CONNECTION_ERRORS
from gateway.database.migrate import LOCK, Migration, migrations_folder, read_migrations
from gateway.database.queries import statement
from gateway.database.requirements import DatabaseRequirements
from gateway.errors import BackupError

_LOOKS_FOR_USE = (("servers", "schema_is_used"), ("persons", "has_persons"), ("guard_rules", "has_guard_rules"))
"""By a table that has to be there, what says whether anybody has made something."""
_MADE_BY_MIGRATIONS = re.compile(
    r"CREATE (?:OR REPLACE )?(?:TABLE|VIEW|TYPE|SEQUENCE|FUNCTION) (?:IF NOT EXISTS )?([a-z0-9_]+)"
)


async def restore_backup(url: str, reader: BackupReader, *, replace: bool = False) -> Manifest:
    """Fill the database at `url`; with `replace` in place of what a gateway keeps there.

    Raises BackupError where the backup is damaged or newer than this version, where the database holds something or is
    in use, and where it does not take what the backup holds; DatabaseError where it cannot be used. It is then as
    before.
    """
    migrations = read_migrations(migrations_folder())
    _check_migrations(reader.manifest, migrations)
    reader.check()
    async with backup_connection(url) as connection:
        try:
            await DatabaseRequirements().check(connection, url)
            async with connection.transaction():
                await connection.execute(statement("lock_migrations"), LOCK)
                installation = await _installation(connection)
                await _make_room(connection, migrations, replace)
                await connection.execute(statement("create_schema_migrations"))
                count = len(reader.manifest.migrations)
                await _apply(connection, migrations[:count])
                await _load(connection, reader)
                await _apply(connection, migrations[count:])
                # What a person allowed once may have been done since.
                await connection.execute(statement("end_open_approvals"))
                # A backup says what it is of, which its copy is not.
                await connection.execute(statement("set_installation"), installation or str(uuid.uuid4()))
            await connection.execute(statement("analyze_catalogue"))
        except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            raise BackupError(f"The database did not take the backup, and is as it was: {error}.") from None
    return reader.manifest


def _check_migrations(manifest: Manifest, migrations: Sequence[Migration]) -> None:
    known = [(each.number, each.checksum) for each in migrations]
    applied = [(each.number, each.checksum) for each in manifest.migrations]
    if len(applied) > len(known):
        raise BackupError(
            f"The backup is of ModelGate {manifest.version}, whose database is newer than that of this version; update "
            "ModelGate, then restore it."
        )
    for ours, theirs, migration in zip(known, applied, migrations, strict=False):
        if ours != theirs:
            raise BackupError(
                f"The backup is of another line of ModelGate: its migration {migration.name} is not the one here."
            )


async def refuse_while_in_use(connection: asyncpg.Connection[Any], act: str) -> None:
    """Raise BackupError, which says after what one may `act`, where gateways or their commands use the database."""
    if await connection.fetchval(statement("other_gateway_connections")):
        raise BackupError(f"A gateway uses this database; stop all of them, then {act}.")


async def _make_room(connection: asyncpg.Connection[Any], migrations: Sequence[Migration], replace: bool) -> None:
    await refuse_while_in_use(connection, "restore")
    ours = {name for migration in migrations for name in _MADE_BY_MIGRATIONS.findall(migration.text)}
    ours.add("schema_migrations")
    objects = await connection.fetch(statement("schema_objects"))
    others = [row["name"] for row in objects if row["kind"] == "TABLE" and row["name"] not in ours]
    if others:
        raise BackupError(
            f"The database also holds tables of something else, {others[0]} among them; restore into a database of "
            "its own."
        )
    if not replace and await _is_used(connection):
        raise BackupError(
            "The database holds servers, keys or admins already, or roles, persons or guards; give --replace to "
            "restore in their place, or restore into an empty database."
        )
    for row in objects:
        if row["name"] in ours:
            await connection.execute(row["drop_statement"])


async def _is_used(connection: asyncpg.Connection[Any]) -> bool:
    # Made by an older version, or in a start that failed, it has not all tables.
    there = {row["name"] for row in await connection.fetch(statement("stored_tables"))}
    looked_at = [look for table, look in _LOOKS_FOR_USE if table in there]
    return any([await connection.fetchval(statement(look)) for look in looked_at])


async def _installation(connection: asyncpg.Connection[Any]) -> str | None:
    """What tells the database from others, where it has something that does: it stays what it is."""
    if any(row["name"] == "installation" for row in await connection.fetch(statement("stored_tables"))):
        return str(await connection.fetchval(statement("installation_id")))
    return None


async def _apply(connection: asyncpg.Connection[Any], migrations: Sequence[Migration]) -> None:
    for migration in migrations:
        await migration.apply(connection)
        await connection.execute(statement("close_cursors"))
        await migration.record(connection)


async def _load(connection: asyncpg.Connection[Any], reader: BackupReader) -> None:
    manifest = reader.manifest
    for month in sorted({table.month for table in manifest.tables if table.month is not None}):
        await connection.execute(statement("make_month"), _moment(month))
    there = {row["name"]: row["columns"] for row in await connection.fetch(statement("stored_tables"))}
    for table in manifest.tables:
        if not set(table.columns) <= set(there.get(table.name, ())):
            raise BackupError(f"The backup does not fit: its table {table.name} is not one of this version.")
    around = await connection.fetch(
        statement("loading_statements"), sorted({table.parent or table.name for table in manifest.tables})
    )
    keys = await connection.fetch(statement("foreign_keys"))
    for row in keys:
        await connection.execute(row["drop_statement"])
    for row in around:
        await connection.execute(row["disable_triggers"])
        # The rows that migrations put there are in the backup as they have become.
        await connection.execute(row["empty"])
    for table in manifest.tables:
        await _load_table(connection, reader, table)
    for name, position in manifest.sequences.items():
        await connection.execute(statement("set_sequence"), name, position)
    for row in keys:
        await connection.execute(row["add_statement"])
    for row in around:
        await connection.execute(row["enable_triggers"])


async def _load_table(connection: asyncpg.Connection[Any], reader: BackupReader, table: StoredTable) -> None:
    copied = await connection.copy_to_table(
        table.name, source=_asynchronous(reader.rows(table)), columns=table.columns, format="text", timeout=None
    )
    count = int(copied.rpartition(" ")[2])
    if count != table.rows:
        raise BackupError(f"The backup is damaged: {table.name} has {count} rows in place of {table.rows}.")


async def _asynchronous(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _moment(month: str) -> datetime:
    # Python before 3.11 takes a zone with minutes only.
    text = f"{month}:00" if re.search(r"[+-][0-9]{2}$", month) else month
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BackupError(f"The backup is damaged: {month[:40]!r} is no month.") from None
