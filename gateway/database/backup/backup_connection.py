"""The connection that a database is backed up, restored and upgraded over."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from gateway.database.connection import CONNECTION_ERRORS
from gateway.errors import BackupError

_APPLICATION_NAME = "modelgate backup"
_CONNECT_SECONDS = 10.0


@contextlib.asynccontextmanager
async def backup_connection(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """One to the database at `url`, under a name that is no gateway's. Raises BackupError where there is none."""
    try:
        connection = await asyncpg.connect(
            url, timeout=_CONNECT_SECONDS, server_settings={"application_name": _APPLICATION_NAME}
        )
    except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
        raise BackupError(f"The database cannot be reached ({error or type(error).__name__}).") from None
    try:
        yield connection
    finally:
        await connection.close()
