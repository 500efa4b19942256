"""A tenant that has one of everything, all with the same id, names and hashes, so that any parameter points at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import asyncpg
from pgvector import HalfVector

from gateway.database.queries import statement

ID = 424_242
NAME = "thing"
# Stands in every row of the owner's that has room for it, and is never a parameter.
MARK = "belongs to the owner"
HASH = b"\x07" * 32
DIMENSIONS = 4
HOLDER = UUID(int=ID)
VECTOR = HalfVector([0.5] * DIMENSIONS)
SPACE = 1


@dataclass(frozen=True)
class Owned:
    """The database, the tenant that owns everything in it, and one that owns nothing."""

    connection: asyncpg.Connection[Any]
    owner: int
    stranger: int

    async def everything(self) -> str:
        """All that is the owner's, as text; equal while nothing of it has changed."""
        found = []
        for table in await tenant_tables(self.connection):
            rows = await self.connection.fetch(
                f"SELECT t::text FROM {table} t WHERE tenant_id = $1 ORDER BY 1", self.owner
            )
            found.append(f"{table}: {[row[0] for row in rows]}")
        found.append(str(await self.connection.fetchrow("SELECT * FROM tenants WHERE id = $1", self.owner)))
        return "\n".join(found)


async def tenant_tables(connection: asyncpg.Connection[Any]) -> list[str]:
    """Tables with rows of tenants; partitions are seen through their parents."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
        "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    return [row[0] for row in rows]


async def fill(connection: asyncpg.Connection[Any]) -> Owned:
    """Make both tenants, and what the owner has."""
    insert = connection.execute
    await insert(
        "INSERT INTO tenants (id, slug, name) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3)", ID, f"{NAME}s", MARK
    )
    stranger = await connection.fetchval(
        "INSERT INTO tenants (slug, name) VALUES ('stranger', 'Stranger') RETURNING id"
    )
    await insert(
        "INSERT INTO servers (tenant_id, id, name, slug, description, transport, url) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, $1, $2, $2, $3, 'http', 'http://127.0.0.1:9/mcp')",
        ID,
        NAME,
        MARK,
    )
    await insert(
        "INSERT INTO grant_locks (tenant_id, server_id, holder, expires_at) VALUES ($1, $1, $2, 'infinity')",
        ID,
        HOLDER,
    )
    await insert(
        "INSERT INTO server_health (tenant_id, server_id, since, until, state, error) "
        "VALUES ($1, $1, '-infinity', 'infinity', $2, $3)",
        ID,
        NAME,
        MARK,
    )
    await insert(
        "INSERT INTO tools (tenant_id, id, server_id, name, exposed_name, category, definition, content_hash, "
        "term_count) OVERRIDING SYSTEM VALUE VALUES ($1, $1, $1, $2, $2, $2, $3, $4, 1)",
        ID,
        NAME,
        f'{{"name": "{NAME}", "description": "{MARK}", "inputSchema": {{"type": "object"}}}}',
        HASH,
    )
    await insert(
        "INSERT INTO kept_results (tenant_id, id, tool_id, caller, content, size, expires_at) "
        "VALUES ($1, $2, $1, $3, $4, 1, 'infinity')",
        ID,
        UUID(int=0),
        NAME,
        MARK,
    )
    await insert(
        "INSERT INTO call_approvals (tenant_id, id, binding, caller, key_id, person_issuer, person_subject, asked_by, "
        "server_id, server_name, tool_id, tool_name, definition, arguments, policy_version, expires_at) "
        "VALUES ($1, $2, $3, $2, $1, $2, $2, $4, $1, $4, $1, $4, '{}', $3, $2, 'infinity')",
        ID,
        NAME,
        HASH,
        MARK,
    )
    await insert(
        "INSERT INTO offerings (tenant_id, server_id, kind, name_hash, name, definition, content_hash, quarantine) "
        "VALUES ($1, $1, 'prompt', $2, $3, $4, $2, $4)",
        ID,
        HASH,
        NAME,
        MARK,
    )
    await insert("INSERT INTO tool_terms (tenant_id, lexeme, tool_id, count) VALUES ($1, $2, $1, 1)", ID, NAME)
    space = await connection.fetchval(statement("register_space"), "key", "p", "m", DIMENSIONS, "", "", None, "b")
    assert space == SPACE
    await insert("UPDATE embedding_spaces SET active = true")
    await insert(statement("upsert_embedding"), ID, ID, SPACE, HASH, VECTOR, VECTOR, VECTOR, "{}", [], True)
    await insert(
        "INSERT INTO tool_examples (tenant_id, id, tool_id, text, text_key, source, state) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, $1, $1, $2, $3, 'use', 'counted')",
        ID,
        MARK,
        NAME,
    )
    await insert("INSERT INTO tool_example_embeddings VALUES ($1, $1, $2, $3)", ID, SPACE, VECTOR)
    await insert("INSERT INTO tool_learning (tenant_id, tool_id) VALUES ($1, $1)", ID)
    await insert(statement("store_baseline"), ID, SPACE, HASH, ID, 0.5, 0.5)
    await insert(statement("store_learnt"), ID, ID, SPACE, HASH, VECTOR, 0.0, 1, 1, NAME)
    for role_id, kind, mode in ((ID, "role", None), (ID + 1, "profile", "all")):
        await insert(
            "INSERT INTO roles (tenant_id, id, name, description, default_visibility, kind, list_mode) "
            "OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, 'ALLOW', $5, $6)",
            ID,
            role_id,
            NAME,
            MARK,
            kind,
            mode,
        )
    await insert(
        "INSERT INTO role_rules (tenant_id, id, role_id, pattern, visibility) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, $1, $1, $2, 'ALLOW')",
        ID,
        NAME,
    )
    await insert(statement("refresh_role_tools"), ID, None, None)
    for profile_id in (None, ID + 1):
        await insert(
            "INSERT INTO tool_overrides (tenant_id, tool_id, profile_id, name, title, category) "
            "VALUES ($1, $1, $2, $3, $4, $3)",
            ID,
            profile_id,
            NAME,
            MARK,
        )
    await insert(
        "INSERT INTO api_keys (tenant_id, id, name, hash, hint, note) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, $1, $2, $3, $2, $4)",
        ID,
        NAME,
        HASH,
        MARK,
    )
    await insert("INSERT INTO api_key_roles (tenant_id, key_id, role_id) VALUES ($1, $1, $1)", ID)
    today = datetime.now(timezone.utc).date()
    for day in (today, today - timedelta(days=1)):
        await insert(
            "INSERT INTO key_usage (tenant_id, key_id, day, calls, granted) VALUES ($1, $1, $2, 1, 1)", ID, day
        )
    await _fill_persons(connection)
    return Owned(connection, ID, stranger)


async def _fill_persons(connection: asyncpg.Connection[Any]) -> None:
    """Somebody with all that a person may have."""
    insert = connection.execute
    await insert(
        "INSERT INTO persons (tenant_id, id, issuer, subject, name) OVERRIDING SYSTEM VALUE "
        "VALUES ($1, $1, $2, $2, $3)",
        ID,
        NAME,
        MARK,
    )
    await insert(
        "INSERT INTO connections (tenant_id, person_id, server_id, id, kind, sealed, subject, person_name) "
        "VALUES ($1, $1, $1, $2, 'secret', $3, $4, $4)",
        ID,
        UUID(int=0),
        HASH,
        MARK,
    )
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    await insert(
        "INSERT INTO connection_links (hash, tenant_id, person_id, server_id, key_id, expires_at) "
        "VALUES ($2, $1, $1, $1, $1, $3)",
        ID,
        HASH,
        later,
    )
    await insert(
        "INSERT INTO person_sessions (hash, tenant_id, person_id, address, expires_at) VALUES ($2, $1, $1, $3, $4)",
        ID,
        HASH,
        MARK,
        later,
    )
    await insert(
        "INSERT INTO person_sign_ins "
        "(state_hash, tenant_id, person_id, server_id, browser_hash, link, sealed, expires_at) "
        "VALUES ($2, $1, $1, $1, $2, $3, $2, $4)",
        ID,
        HASH,
        MARK,
        later,
    )
    await insert("INSERT INTO oauth_registrations (tenant_id, server_id, sealed) VALUES ($1, $1, $2)", ID, HASH)
    await insert("INSERT INTO sign_in_tokens (tenant_id, person_id, sealed) VALUES ($1, $1, $2)", ID, HASH)
