"""Tenants by the hundred, each with the tools of the default one and a key that finds them."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import asyncpg

from bench.catalogue import TENANT
from gateway.access.roles import refresh_visibility
from gateway.database.pool import Database

# Each block is a statement; `made` holds the ids of the new tenants, and their places from 1 on.
_COPY = (
    """
    CREATE TABLE made AS
    WITH tenant AS (
        INSERT INTO tenants (slug, name) SELECT 'bench-' || n, 'Bench ' || n FROM generate_series(1, %d) AS n
        RETURNING id
    ) SELECT id, row_number() OVER (ORDER BY id) AS place FROM tenant
    """,
    "ANALYZE made",
    "INSERT INTO roles (tenant_id, name, default_visibility) SELECT id, 'all', 'SEARCH' FROM made",
    """
    INSERT INTO servers (tenant_id, name, slug, transport, url, enabled)
    SELECT made.id, s.name, s.slug, s.transport, s.url, s.enabled FROM made, servers s WHERE s.tenant_id = 1
    """,
    """
    INSERT INTO tools (tenant_id, server_id, name, exposed_name, category, definition, content_hash, approved_hash,
                       term_count, terms_version)
    SELECT made.id, own.id, t.name, t.exposed_name, t.category, t.definition, t.content_hash, t.approved_hash,
           t.term_count, t.terms_version
    FROM made, tools t JOIN servers s ON s.tenant_id = t.tenant_id AND s.id = t.server_id
    JOIN servers own ON own.slug = s.slug WHERE t.tenant_id = 1 AND own.tenant_id = made.id
    """,
    "ANALYZE tools",
    """
    INSERT INTO tool_terms (tenant_id, tool_id, lexeme, count) SELECT own.tenant_id, own.id, x.lexeme, x.count
    FROM made JOIN tools own ON own.tenant_id = made.id
    JOIN tools t ON t.tenant_id = 1 AND t.exposed_name = own.exposed_name
    JOIN tool_terms x ON x.tenant_id = 1 AND x.tool_id = t.id
    """,
    """
    INSERT INTO tool_embeddings (tenant_id, tool_id, space_id, text_hash, name_embedding, description_embedding,
                                 combined_embedding)
    SELECT own.tenant_id, own.id, x.space_id, x.text_hash, x.name_embedding, x.description_embedding,
           x.combined_embedding
    FROM made JOIN tools own ON own.tenant_id = made.id
    JOIN tools t ON t.tenant_id = 1 AND t.exposed_name = own.exposed_name
    JOIN tool_embeddings x ON x.tenant_id = 1 AND x.tool_id = t.id
    """,
    "UPDATE tenants SET catalogue_version = catalogue_version + 1",
)
_KEY = """
    WITH key AS (
        INSERT INTO api_keys (tenant_id, name, hash, hint) VALUES ($1, 'bench', $2, $3) RETURNING id
    )
    INSERT INTO api_key_roles (tenant_id, key_id, role_id)
    SELECT $1, key.id, roles.id FROM key, roles WHERE roles.tenant_id = $1 AND roles.name = 'all'
"""


async def copy_default_tenant(database: Database, count: int) -> list[str]:
    """Make `count` tenants with the tools of the default one; a key for each."""
    connection = await asyncpg.connect(database.url)
    try:
        # Built over all vectors at once, it takes a tenth of what it takes to add them one by one.
        indexes = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'tool_embeddings_ranking_%'"
        )
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for statement in _COPY:
            await connection.execute(statement.replace("%d", str(count)))
        await connection.execute("SET maintenance_work_mem = '512MB'")
        for index in indexes:
            await connection.execute(index["indexdef"])
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM made ORDER BY place")]
        for tenant_id in ids:
            async with database.transaction() as transaction:
                await refresh_visibility(transaction, tenant_id)
        return await add_keys(connection, ids)
    finally:
        await connection.close()


async def add_keys(connection: asyncpg.Connection[Any], tenant_ids: list[int]) -> list[str]:
    """A new key for each of these tenants, with the role "all"."""
    keys = [f"mg_{secrets.token_hex(32)}" for _ in tenant_ids]
    rows = [
        (tenant_id, hashlib.sha256(key.encode()).digest(), key[:10])
        for tenant_id, key in zip(tenant_ids, keys, strict=True)
    ]
    await connection.executemany(_KEY, rows)
    await connection.execute("ANALYZE api_keys")
    return keys


async def add_keys_of_default_tenant(database: Database, count: int) -> list[str]:
    """So many keys of one tenant."""
    connection = await asyncpg.connect(database.url)
    try:
        return await add_keys(connection, [TENANT] * count)
    finally:
        await connection.close()
