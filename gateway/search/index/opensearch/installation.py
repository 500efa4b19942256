"""What tells the database whose catalogue a cluster holds from all others, its copies among them."""

from __future__ import annotations

import logging

import asyncpg

from gateway.database.pool import Database

logger = logging.getLogger(__name__)


async def installation_id(database: Database) -> str:
    """The id of a database, another one than that of the database that it was copied from with pg_dump.

    Raises DatabaseError.
    """
    try:
        await database.execute("settle_installation")
    except asyncpg.InsufficientPrivilegeError as error:
        # Not everybody may ask PostgreSQL for the number of its data directory.
        logger.info("It is not known whether the database is a copy of another one: %s", error)
    return str(await database.fetchval("installation_id"))


async def former_installation_ids(database: Database) -> frozenset[str]:
    """The ids of the databases that a database was copied from, or restored from. Raises DatabaseError."""
    return frozenset(row["id"] for row in await database.fetch("former_installation_ids"))
