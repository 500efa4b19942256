"""One PostgreSQL for a whole test run, and a fresh database for each test that asks for one.

It is the embedded one, or where the environment names the folder of its programs in TEST_POSTGRESQL, that one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import asyncpg

from gateway.database.embedded import EmbeddedServer
from gateway.database.migrate import migrate
from tests.support.installed_postgresql import InstalledPostgresql

_TEMPLATE = "modelgate_template"
_LOCK = 7_265_143
_NEEDED_BYTES = 3 * 2**30


def cluster_folder() -> Path:
    """Where a cluster is best put: in memory, where there is room, for every test makes some seven hundred files."""
    in_memory = Path("/dev/shm")
    try:
        if os.access(in_memory, os.W_OK) and shutil.disk_usage(in_memory).free >= _NEEDED_BYTES:
            return in_memory
    except OSError:
        pass
    return Path(tempfile.gettempdir())


class Cluster:
    """Shared by all test processes; the last of them stops it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        programs = os.environ.get("TEST_POSTGRESQL")
        self._server = InstalledPostgresql(Path(programs), folder) if programs else EmbeddedServer(folder)
        self._url = self._server.start()
        asyncio.run(self._make_template())

    def url(self, database: str) -> str:
        return self._url.replace("/postgres?", f"/{database}?")

    async def create(self) -> str:
        """A migrated database of its own; returns its name."""
        name = f"test_{uuid.uuid4().hex}"
        # Files are copied as they are: to log every page of them takes longer, and so does dropping what was logged.
        await self._run(f'CREATE DATABASE "{name}" TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY')
        return name

    async def drop(self, name: str) -> None:
        await self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def stop(self) -> None:
        """Let go of the server; the last one stops it and removes its files."""
        self._server.stop()
        if not (self._folder / "postgresql" / "postmaster.pid").exists():
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            # A template cannot be copied by two at once.
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _make_template(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _TEMPLATE):
                return
            # Nothing here has to survive a crash; waiting for the disk would take most of the time.
            await connection.execute("ALTER SYSTEM SET fsync = off")
            await connection.execute("ALTER SYSTEM SET max_wal_size = '256MB'")
            await connection.execute("SELECT pg_reload_conf()")
            await connection.execute(f"CREATE DATABASE {_TEMPLATE}_new")
            inside = await asyncpg.connect(self.url(f"{_TEMPLATE}_new"))
            try:
                await migrate(inside)
            finally:
                await inside.close()
            await connection.execute(f"ALTER DATABASE {_TEMPLATE}_new RENAME TO {_TEMPLATE}")
        finally:
            await connection.close()
