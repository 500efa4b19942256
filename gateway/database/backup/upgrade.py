"""The embedded PostgreSQL, from one major version to the next: its files cannot be read by another one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.database.backup.archive import BackupReader
from gateway.database.backup.backup import write_backup
from gateway.database.backup.restore import restore_backup
from gateway.database.embedded import EmbeddedServer
from gateway.errors import DatabaseError


async def upgrade_embedded(data_dir: Path) -> tuple[int, int]:
    """Write a backup with the version that made the files, and restore it with the one that the gateway runs on.

    Returns both. What was there stays beside it, as `postgresql.old`. Raises DatabaseError where there is nothing to
    upgrade or that fails; the files are then as before.
    """
    present = EmbeddedServer(data_dir)
    found, wanted = await asyncio.to_thread(present.versions)
    folder, former_folder = present.folder, present.folder.with_name(f"{present.folder.name}.old")
    if found is None or found == wanted:
        raise DatabaseError(f"There is nothing to upgrade; PostgreSQL {wanted} is what {folder} is made for.")
    if former_folder.exists():
        raise DatabaseError(f"{former_folder} is there from an upgrade before; move it away, then try again.")
    file = data_dir / f"upgrade-from-{found}.backup"
    former = EmbeddedServer(data_dir, found)
    url = await asyncio.to_thread(former.start)
    try:
        await write_backup(url, file)
    finally:
        await asyncio.to_thread(former.stop)
    folder.rename(former_folder)
    try:
        with BackupReader(file) as reader:
            try:
                await restore_backup(await asyncio.to_thread(present.start), reader)
            finally:
                await asyncio.to_thread(present.stop)
    except BaseException:
        if folder.exists():
            folder.rename(_free_name(folder))
        former_folder.rename(folder)
        raise
    file.unlink()
    return found, wanted


def _free_name(folder: Path) -> Path:
    """Where an upgrade that failed leaves what it has made, beside that of those before it."""
    failed, number = folder.with_name(f"{folder.name}.failed"), 2
    while failed.exists():
        failed, number = folder.with_name(f"{folder.name}.failed-{number}"), number + 1
    return failed
