"""Looking into the database past the gateway's own statements."""

from __future__ import annotations

from typing import Any

import asyncpg

from gateway.access.caller import Caller
from gateway.components import Components


async def rows(url: str, sql: str, *args: Any) -> list[Any]:
    """All rows of a statement, run on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        found: list[Any] = await connection.fetch(sql, *args)
        return found
    finally:
        await connection.close()


async def value(url: str, sql: str, *args: Any) -> Any:
    """The first column of the first row."""
    return (await rows(url, sql, *args))[0][0]


async def caller_with(parts: Components, *roles: str) -> Caller:
    """A caller of the default tenant with these roles, by default "all"."""
    found = await rows(
        parts.database.url,
        "SELECT r.tenant_id, r.id FROM roles r JOIN tenants t ON t.id = r.tenant_id "
        "WHERE t.slug = 'default' AND r.name = ANY($1::text[])",
        list(roles or ("all",)),
    )
    return Caller(found[0]["tenant_id"], 1, "test", tuple(row["id"] for row in found))
