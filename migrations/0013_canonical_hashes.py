"""Hashes of definitions are taken over what they mean, and definitions are kept as every client can read them.

They are computed anew from what is stored, of what is offered, approved and in versions alike: nothing changes by that.
"""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from gateway.catalog.definition_hash import hash_definition
from gateway.catalog.tool_mending import mend_tool

_AT_ONCE = 500

Hashes = dict[tuple[int, int, bytes], bytes]


async def migrate(connection: asyncpg.Connection[Any]) -> None:
    """Rewrite both tables that hold definitions, in the transaction of `connection`."""
    hashes = await _rewrite_versions(connection)
    # It is no approval, and nobody's decision.
    await connection.execute("ALTER TABLE tools DISABLE TRIGGER trace")
    await _rewrite_tools(connection, hashes)
    await connection.execute("ALTER TABLE tools ENABLE TRIGGER trace")


async def _rewrite_versions(connection: asyncpg.Connection[Any]) -> Hashes:
    """Write the definitions of versions anew. Returns the new hashes by tenant, server and old hash."""
    hashes: Hashes = {}
    cursor = await connection.cursor(
        "SELECT tenant_id, server_id, content_hash, definition::text FROM tool_definitions"
    )
    while rows := await cursor.fetch(_AT_ONCE):
        written = []
        for tenant_id, server_id, before, definition in rows:
            after, text = _renew(definition)
            hashes[tenant_id, server_id, before] = after
            written.append((tenant_id, server_id, after, text))
        await connection.executemany(
            """INSERT INTO tool_definitions (tenant_id, server_id, content_hash, definition)
               VALUES ($1, $2, $3, $4::text::json)
               ON CONFLICT (tenant_id, server_id, content_hash) DO UPDATE SET definition = excluded.definition""",
            written,
        )
    replaced = [(*place, after) for place, after in hashes.items() if place[2] != after]
    await connection.executemany(
        """UPDATE server_version_tools SET content_hash = $4
           WHERE tenant_id = $1 AND server_id = $2 AND content_hash = $3""",
        replaced,
    )
    await connection.executemany(
        "DELETE FROM tool_definitions WHERE tenant_id = $1 AND server_id = $2 AND content_hash = $3",
        [place[:3] for place in replaced],
    )
    return hashes


async def _rewrite_tools(connection: asyncpg.Connection[Any], hashes: Hashes) -> None:
    last = -1
    while rows := await connection.fetch(
        """SELECT tenant_id, server_id, id, content_hash, approved_hash, definition::text FROM tools
           WHERE id > $1 ORDER BY id LIMIT $2""",
        last,
        _AT_ONCE,
    ):
        last = rows[-1]["id"]
        written = []
        for tenant_id, server_id, tool_id, before, approved, definition in rows:
            after, text = _renew(definition)
            # What was approved is what is offered, stands in a version, or is gone and compared with nothing.
            renewed = after if approved == before else hashes.get((tenant_id, server_id, approved), approved)
            written.append((tenant_id, tool_id, after, renewed, text))
        await connection.executemany(
            """UPDATE tools SET content_hash = $3, approved_hash = $4, definition = $5::text::json
               WHERE tenant_id = $1 AND id = $2""",
            written,
        )


def _renew(text: str) -> tuple[bytes, str]:
    """The hash of a stored definition, and the definition as it is kept from now on."""
    definition = json.loads(text)
    mended = mend_tool(definition)
    if mended != definition:
        text = json.dumps(mended, ensure_ascii=False, separators=(",", ":"))
    return hash_definition(mended), text
