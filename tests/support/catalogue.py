"""A catalogue written straight into the database: servers and tools without upstreams or vectors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.access.roles import refresh_visibility
from gateway.database.pool import Database


@dataclass(frozen=True, slots=True)
class StoredTool:
    """A tool of such a catalogue; `server` is the slug of its server."""

    id: int
    server_id: int
    server: str
    name: str
    category: str

    @property
    def exposed_name(self) -> str:
        return f"{self.server}__{self.name}"


async def add_tools(
    database: Database, tenant_id: int, tools: Iterable[tuple[str, str, str]], *, url: str = "http://127.0.0.1:9/mcp"
) -> list[StoredTool]:
    """Store tools given as (server slug, tool name, category), and make them known. No embedder changes a category."""
    wanted = list(tools)
    stored = []
    async with direct_connection(database) as connection, connection.transaction():
        servers: dict[str, int] = {}
        for slug in dict.fromkeys(server for server, _, _ in wanted):
            servers[slug] = await connection.fetchval(
                "INSERT INTO servers (tenant_id, name, slug, transport, url) VALUES ($1, $2, $3, 'http', $4) "
                "RETURNING id",
                tenant_id,
                slug.title(),
                slug,
                url,
            )
        for server, name, category in wanted:
            definition = {"name": name, "description": name.replace("_", " "), "inputSchema": {"type": "object"}}
            tool_id = await connection.fetchval(
                "INSERT INTO tools "
                "(tenant_id, server_id, name, exposed_name, category, category_source, definition, content_hash) "
                "VALUES ($1, $2, $3, $4, $5, 'embedder', $6, '') RETURNING id",
                tenant_id,
                servers[server],
                name,
                f"{server}__{name}",
                category,
                json.dumps(definition),
            )
            stored.append(StoredTool(tool_id, servers[server], server, name, category))
            await connection.execute(
                "INSERT INTO tool_terms (tenant_id, lexeme, tool_id, count) SELECT $1, w.lexeme, $2, 1 "
                "FROM unnest(to_tsvector('english', $3)) AS w ON CONFLICT DO NOTHING",
                tenant_id,
                tool_id,
                name.replace("_", " "),
            )
    async with database.transaction() as transaction:
        for server_id in servers.values():
            await refresh_visibility(transaction, tenant_id, server_id=server_id)
    return stored


@contextlib.asynccontextmanager
async def direct_connection(database: Database) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection for statements of the test's own."""
    connection = await asyncpg.connect(database.url)
    try:
        yield connection
    finally:
        await connection.close()
