"""Masking what is in the audit log already."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from gateway.database.actor import current_actor
from gateway.database.pool import Database
from gateway.errors import ForbiddenError


async def redact_rows_before(database: Database, moment: datetime) -> int:
    """Mask arguments, queries, errors, values and addresses in the rows of all tenants before `moment`; how many rows.

    Who did what, when, and how it went stays, and that this was done is recorded. Raises ForbiddenError where the
    database user does not own the tables.
    """
    try:
        # All at once, or nothing: it may take longer than a statement has.
        async with database.dedicated_connection(statement_seconds=None) as connection:
            await connection.execute("set_actor", current_actor().json)
            rows: int = await connection.fetchval("redact_trace", moment)
            return rows
    except asyncpg.InsufficientPrivilegeError:
        raise ForbiddenError(
            "The database user does not own the tables of the trace; set database.url to the one who does, as for "
            "modelgate migrate."
        ) from None
