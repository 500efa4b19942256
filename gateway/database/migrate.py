"""Numbered migrations: `migrations/NNNN_name.sql`, each applied once, in its own transaction.

What SQL alone cannot work out is `migrations/NNNN_name.py`, whose `migrate(connection)` is awaited in the transaction.

The version of ModelGate before goes on beside a migrated database, and starts on it, so that replicas are upgraded one
after the other; where it cannot, the first line of the file is `-- incompatible: ` and the reason.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from gateway.database.queries import statement
from gateway.errors import MigrationError

_INCOMPATIBLE = "-- incompatible: "
# What waits for a lock on a table holds up all who come after it: it is given up, and tried again, for so long.
_LOCK_TIMEOUT = "1s"
_RETRY_SECONDS = 0.5
_GIVE_UP_SECONDS = 120.0

LOCK = 0x6D6F64656C67
"""The advisory lock that any process takes first that migrates a database."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name, text and the SHA-256 (hex) of that text."""

    number: int
    name: str
    path: Path
    text: str
    checksum: str

    @property
    def incompatible_because(self) -> str:
        """Why the version before does not run on a database that has it; empty where it does."""
        first_line = self.text.partition("\n")[0]
        return first_line.removeprefix(_INCOMPATIBLE).strip() if first_line.startswith(_INCOMPATIBLE) else ""

    async def apply(self, connection: asyncpg.Connection[Any]) -> None:
        """Carry it out. Raises what the database raises."""
        if self.path.suffix == ".sql":
            await connection.execute(self.text)
            return
        spec = importlib.util.spec_from_file_location(f"migration_{self.name}", self.path)
        if spec is None or spec.loader is None:
            raise MigrationError(f"The migration {self.path.name} cannot be loaded; restore the file as it was.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        await module.migrate(connection)

    async def record(self, connection: asyncpg.Connection[Any]) -> None:
        """Write that it is carried out, and whether the version before runs beside it, in the same transaction."""
        await connection.execute(statement("record_migration"), self.number, self.name, self.checksum)
        if not self.incompatible_because and await connection.fetchval(statement("records_compatibility")):
            await connection.execute(statement("record_compatibility"), self.number)


def migrations_folder() -> Path:
    """Where the migrations are: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def read_migrations(folder: Path) -> list[Migration]:
    """The migrations in `folder`, in order. Raises MigrationError for a gap or a number that stands twice."""
    found = []
    for path in sorted(each for each in folder.iterdir() if each.suffix in (".sql", ".py")):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)", path.stem)
        if not match:
            raise MigrationError(f"The migration {path.name} is not named NNNN_name{path.suffix}; rename it.")
        text = path.read_text(encoding="utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        found.append(Migration(int(match[1]), path.stem, path, text, checksum))
    for expected, migration in enumerate(found, 1):
        if migration.number != expected:
            raise MigrationError(f"The migration {migration.name} stands where number {expected:04d} should.")
    return found


async def migrate(connection: asyncpg.Connection[Any], folder: Path | None = None) -> list[str]:
    """Bring the database up to the newest migration and return the names of those applied.

    Safe to run from several processes at once. Raises MigrationError when an applied migration was changed, is
    missing from `folder`, or is newer than this version of ModelGate knows and not compatible with it.
    """
    migrations = read_migrations(folder or migrations_folder())
    async with connection.transaction():
        await connection.execute(statement("lock_migrations"), LOCK)
        await connection.execute(statement("create_schema_migrations"))
    await connection.execute(statement("lock_migrations_session"), LOCK)
    try:
        return await _apply(connection, migrations)
    finally:
        await connection.execute(statement("unlock_migrations_session"), LOCK)


async def pending_migrations(connection: asyncpg.Connection[Any], folder: Path | None = None) -> list[Migration]:
    """What `migrate` would apply, in order. Raises MigrationError as it does."""
    migrations = read_migrations(folder or migrations_folder())
    if await connection.fetchval(statement("has_schema_migrations")):
        return _unapplied(migrations, await connection.fetch(statement("applied_migrations")))
    return migrations


async def _apply(connection: asyncpg.Connection[Any], migrations: list[Migration]) -> list[str]:
    applied = []
    for migration in _unapplied(migrations, await connection.fetch(statement("applied_migrations"))):
        try:
            await _apply_between_other_work(connection, migration)
        except asyncpg.PostgresError as error:
            raise MigrationError(
                f"The migration {migration.name} failed and was undone: {error}. Fix the cause and start again."
            ) from error
        applied.append(migration.name)
    return applied


async def _apply_between_other_work(connection: asyncpg.Connection[Any], migration: Migration) -> None:
    deadline = asyncio.get_running_loop().time() + _GIVE_UP_SECONDS
    while True:
        try:
            async with connection.transaction():
                await connection.execute(statement("limit_lock_wait"), _LOCK_TIMEOUT)
                await migration.apply(connection)
                await migration.record(connection)
            return
        except asyncpg.LockNotAvailableError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


def _unapplied(migrations: list[Migration], rows: list[asyncpg.Record]) -> list[Migration]:
    known = {migration.number: migration for migration in migrations}
    for row in rows:
        migration = known.pop(row["number"], None)
        if migration is None:
            newer = row["number"] > len(migrations)
            if newer and row["compatible"]:
                continue
            raise MigrationError(
                f"The database has the migration {row['name']}, which "
                + ("is newer than this version of ModelGate; update ModelGate." if newer else "is missing here.")
            )
        if migration.checksum != row["checksum"]:
            raise MigrationError(
                f"The migration {migration.name} was changed after it was applied; restore the file as it was."
            )
    return list(known.values())
