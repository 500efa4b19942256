"""The embedded PostgreSQL, from one major version to the next: its files cannot be read by another one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.database.backup.archive import BackupReader
from gateway.database.backup.backup import write_backup
from gateway.database.backup.backup_connection import backup_connection
from gateway.database.backup.restore import refuse_while_in_use, restore_backup
from gateway.database.embedded import EmbeddedServer
from gateway.errors import BackupError, DatabaseError


async def upgrade_embedded(data_dir: Path) -> tuple[int, int]:
    """Write a backup with the version that made the files, and restore it with the one that the gateway runs on.

    Returns both. What was there stays beside it, as `postgresql.old`. One that was cut off is begun anew, or brought to
    its end. Raises DatabaseError where there is nothing to upgrade, where anybody uses the files, or where it fails;
    they are then as before.
    """
    present = EmbeddedServer(data_dir)
    found, wanted = await asyncio.to_thread(present.versions)
    folder, former_folder = present.folder, present.former_folder
    if present.is_between_versions:
        found, _ = EmbeddedServer(data_dir, name=former_folder.name).versions()
        assert found is not None
        return _finish(present, found, wanted)
    if found is None or found == wanted:
        raise DatabaseError(f"There is nothing to upgrade; PostgreSQL {wanted} is what {folder} is made for.")
    if former_folder.exists():
        raise DatabaseError(f"{former_folder} is there from an upgrade before; move it away, then try again.")
    upgraded = EmbeddedServer(data_dir, name=present.upgraded_folder.name)
    file = _backup_file(data_dir, found)
    former = EmbeddedServer(data_dir, found)
    url = await asyncio.to_thread(former.start)
    try:
        await _refuse_while_in_use(former, url)
        _set_aside(upgraded.folder, folder)
        await write_backup(url, file)
        # What one has written that came meanwhile may not be in the backup.
        await _refuse_while_in_use(former, url)
    finally:
        await asyncio.to_thread(former.stop)
    try:
        with BackupReader(file) as reader:
            try:
                await restore_backup(await asyncio.to_thread(upgraded.start), reader)
            finally:
                await asyncio.to_thread(upgraded.stop)
        if former.is_running:
            raise DatabaseError(f"PostgreSQL in {folder} was started meanwhile; stop all gateways, then upgrade.")
    except BaseException:
        _set_aside(upgraded.folder, folder)
        raise
    folder.rename(former_folder)
    return _finish(present, found, wanted)


async def _refuse_while_in_use(former: EmbeddedServer, url: str) -> None:
    """Raise BackupError where another process holds the started server, or a gateway is connected to it."""
    if holders := await asyncio.to_thread(former.other_holders):
        raise BackupError(
            f"A gateway uses this database, or a command does (process {', '.join(map(str, holders))}); stop all of "
            "them, then upgrade."
        )
    async with backup_connection(url) as connection:
        await refuse_while_in_use(connection, "upgrade")


def _finish(present: EmbeddedServer, found: int, wanted: int) -> tuple[int, int]:
    """Let what was made take the place of what is put aside."""
    present.upgraded_folder.rename(present.folder)
    _backup_file(present.folder.parent, found).unlink(missing_ok=True)
    return found, wanted


def _backup_file(data_dir: Path, version: int) -> Path:
    return data_dir / f"upgrade-from-{version}.backup"


def _set_aside(made: Path, folder: Path) -> None:
    """Keep what an upgrade has made that failed or was cut off, beside that of those before it."""
    if not made.exists():
        return
    failed, number = folder.with_name(f"{folder.name}.failed"), 2
    while failed.exists():
        failed, number = folder.with_name(f"{folder.name}.failed-{number}"), number + 1
    made.rename(failed)
