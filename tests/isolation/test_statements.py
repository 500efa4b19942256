"""Every statement of `database/sql`, run for a tenant that owns nothing and pointed at what another tenant owns."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from gateway.database.queries import statement, statements
from tests.isolation.owner import DIMENSIONS, HASH, ID, MARK, NAME, SPACE, VECTOR, Owned, tenant_tables

# Statements that touch what tenants own without being told a tenant, each with the reason why that has to be.
OF_NO_TENANT = {
    "key_by_hash": "what finds out whose a key is; the hash of a secret points at one key only",
    "list_tenants": "for those who run the gateway",
    "tenant_by_slug": "for those who run the gateway, and to find the tenant that a command names",
    "insert_tenant": "there is no such tenant yet",
    "trim_key_usage": "counts of days gone by, of whomever",
    "tenants_with_counts": "for those who run the gateway; who is limited to tenants is shown theirs only",
    "admin_by_id": "an account with the tenants that it is limited to",
    "admin_by_name": "an account with the tenants that it is limited to",
    "admin_by_subject": "an account with the tenants that it is limited to",
    "admin_session": "an account with the tenants that it is limited to",
    "admin_token": "an account with the tenants that it is limited to",
    "list_admins": "accounts with the tenants that they are limited to, for those who run the gateway",
    "insert_admin_tenants": "says which tenants an account is limited to, for those who run the gateway",
    "approval_by_id_anywhere": "for a chat tool that has proven to be it, and for admins within their tenants",
    "approvals_to_tell": "the webhook is told of what waits for all, each with its own tenant",
    "approvals_sealed_otherwise": "what is sealed is sealed anew for all, each under its own tenant",
    "drop_old_approvals": "what nobody waits for any more, of whomever",
    "drop_expired_results": "what nobody may read any more, of whomever",
    "end_open_approvals": "in a backup that is restored, of whomever",
    "has_guard_rules": "whether a backup may be restored here; only that anything is there is told",
    "has_persons": "whether a backup may be restored here; only that anything is there is told",
    "schema_is_used": "whether a backup may be restored here; only that anything is there is told",
    "release_servers": "a process gives up what it has of all, named by its own id",
    "next_server_id": "a number that no server has yet",
    "servers_of_0_1": "what is sealed is bound to its row for all, each under its own tenant",
    "servers_sealed_otherwise": "what is sealed is sealed anew for all, each under its own tenant",
    "guard_secrets_sealed_otherwise": "what is sealed is sealed anew for all, each under its own tenant",
    "servers_to_check": "the timer looks after the servers of all, each under its own tenant",
    "servers_never_checked": "those of servers_to_check that are new",
    "insert_audit_log": "a batch of what happened to all, each row with its own tenant",
    "insert_tool_calls": "a batch of what happened to all, each row with its own tenant",
    "servers_scanned_otherwise": "the scan is renewed for all, each under its own tenant",
    "tools_with_old_terms": "terms are renewed for all, each stored with its tool's own tenant",
    "feed_all_documents": "how many documents the search cluster is to have of all, for those who run the gateway",
    "feed_tenants": "the search cluster is fed for all, each under its own tenant",
    "lacking_vectors": "how many tools of all lack vectors, for those who run the gateway",
    "recently_used_tenants": "the indexes of all are read after a start, each under its own tenant",
    "space_progress": "how far spaces are filled with the tools of all, for those who run the gateway",
    "tools_to_expand": "a model is asked for the tools of all, and what it says stored with its tool's own tenant",
    "tools_without_vectors": "vectors are filled in for all, each stored with its tool's own tenant",
    "connections_sealed_otherwise": "what is sealed is sealed anew for all, each under its own tenant",
    "oauth_registrations_sealed_otherwise": "what is sealed is sealed anew for all, each under its own tenant",
    "sign_in_tokens_sealed_otherwise": "what is sealed is sealed anew for all, each under its own tenant",
    "delete_person_of_account": "an account that is gone is a person in no tenant any more",
    "connection_link": "what finds out whose a link is; the hash of a secret points at one link only",
    "use_connection_link": "the hash of a secret points at one link only",
    "insert_connection_link": "a link of somebody of a tenant, whom the reference holds to it",
    "insert_person_session": "a session of somebody of a tenant, whom the reference holds to it",
    "person_session": "what finds out whose a session is; the hash of a secret points at one session only",
    "delete_person_session": "the hash of a secret points at one session only",
    "delete_ended_person_sessions": "what nobody may use any more, of whomever",
    "person_sign_in": "what finds out whose a sign-in is; the hash of a secret points at one sign-in only",
    "take_person_sign_in": "the hash of a secret points at one sign-in only",
    "tenants_of_person": "in which tenants whoever has signed in is known, for themselves",
    "vouching_servers": "servers of each tenant in which whoever has signed in is known, for themselves",
}
# What they give back they were told.
ECHOES = ("ensure_person",)
_BLOCK = re.compile(r"\{\{[a-z0-9_]+\}\}")


def whole_statements() -> dict[str, str]:
    """Statements that are run as they are: those that are not merely part of others."""
    parts = {name[2:-2] for text in statements().values() for name in _BLOCK.findall(text)}
    found = {}
    for name in statements():
        text = statement(name)
        for place, number in (("space", SPACE), ("dimensions", DIMENSIONS)):
            text = text.replace("{" + place + "}", str(number))
        said = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        # What is no query is about tables as a whole: indexes, statistics, partitions.
        if name not in parts and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", said):
            found[name] = said
    return found


def tenant_parameter(text: str) -> int | None:
    """The number of the parameter that is the tenant, None where there is none."""
    for pattern in (
        r"tenant_id = (?:ANY\()?\$(\d+)",
        r"\bvisible_tools\(\$(\d+)",
        r"tenants(?: \w+)? WHERE (?:\w+\.)?id = \$(\d+)",
        r"tenants SET [^;]*? WHERE id = \$(\d+)",
    ):
        found = re.search(pattern, text)
        if found:
            return int(found[1])
    columns = re.search(r"INSERT INTO \w+(?: AS \w+)?\s*\(\s*tenant_id,.*?\)\s*(?:OVERRIDING SYSTEM VALUE\s*)?"
                        r"(?:VALUES\s*\(\s*|SELECT\s+)\$(\d+)", text, re.DOTALL)  # fmt: skip
    if columns:
        return int(columns[1])
    several = re.search(r"unnest\(\$(\d+)::bigint\[\][^)]*\) AS \w+ \(tenant_id", text)
    return int(several[1]) if several else None


async def touched(connection: asyncpg.Connection[Any], text: str) -> set[str]:
    """The tables, views and functions of tenants that a statement names."""
    names = [*await tenant_tables(connection), "tenants", "mcp_tools", "mcp_tool_permissions", "visible_tools"]
    return {table for table in names if re.search(rf"\b{table}\b", text)}


def argument(kind: str, tenant: int | None) -> Any:
    """A value of a PostgreSQL type that points at the owner's things, or the tenant itself."""
    if kind.endswith("[]"):
        return [argument(kind[:-2], tenant)]
    now = datetime.now(timezone.utc)
    return {
        "bigint": ID if tenant is None else tenant,
        "int8": ID if tenant is None else tenant,
        "integer": 1,
        "int4": 1,
        "smallint": 1,
        "int2": 1,
        "text": NAME,
        "bytea": HASH,
        "boolean": True,
        "bool": True,
        "timestamptz": now + timedelta(hours=1),
        "date": now.date(),
        "interval": timedelta(hours=1),
        "float8": 1.0,
        "float4": 1.0,
        "json": "{}",
        "jsonb": "{}",
        "uuid": "00000000-0000-0000-0000-000000000000",
        "halfvec": VECTOR,
        "vector": VECTOR,
    }[kind]


def test_every_statement_that_touches_what_tenants_own_is_bound_to_a_tenant() -> None:
    owned = (
        "servers|tools|tool_terms|tool_embeddings|roles|role_rules|role_tools|api_keys|api_key_roles|key_usage|tenants|"
        "visible_tools|kept_results|call_approvals|offerings|tool_overrides|server_owners|server_health|"
        "tool_examples|tool_example_embeddings|tool_learning|learnt_embeddings|cosine_baselines|tool_expansions|guard_rules|persons|connections|"
        "connection_links|person_sessions|person_sign_ins|oauth_registrations|sign_in_tokens"
    )
    unbound = {
        name
        for name, text in whole_statements().items()
        if re.search(rf"\b({owned})\b", text) and tenant_parameter(text) is None
    }
    assert unbound == set(OF_NO_TENANT)


async def test_every_reference_between_tables_of_tenants_holds_the_tenant(owned: Owned) -> None:
    tables = await tenant_tables(owned.connection)
    rows = await owned.connection.fetch(
        "SELECT f.conname, f.conrelid::regclass::text AS source, f.confrelid::regclass::text AS target, "
        "ARRAY(SELECT attname::text FROM unnest(f.conkey) k JOIN pg_attribute a ON a.attrelid = f.conrelid "
        "AND a.attnum = k) AS columns FROM pg_constraint f WHERE f.contype = 'f'"
    )
    between = [row for row in rows if row["source"] in tables and row["target"] in tables]
    assert len(between) > 10
    assert [row["conname"] for row in between if "tenant_id" not in row["columns"]] == []
    linked = {row["source"] for row in rows if "tenant_id" in row["columns"]}
    # What has no reference to its tenant at all would outlive it; the audit log is meant to.
    assert set(tables) - linked <= {"audit_log", "tool_calls"}


async def test_no_statement_gives_a_stranger_what_another_tenant_owns(owned: Owned) -> None:
    connection = owned.connection
    before = await owned.everything()
    assert MARK in before
    useful = 0
    walked = 0
    for name, text in whole_statements().items():
        position = tenant_parameter(text)
        if position is None or name in OF_NO_TENANT or not await touched(connection, text):
            continue
        kinds = [kind.name for kind in (await connection.prepare(text)).get_parameters()]
        walked += 1
        for tenant in (owned.stranger, owned.owner):
            arguments = [argument(kind, tenant if n == position else None) for n, kind in enumerate(kinds, 1)]
            _shape(name, arguments)
            transaction = connection.transaction()
            await transaction.start()
            rows: list[asyncpg.Record] = []
            try:
                rows = await connection.fetch(text, *arguments)
            except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
                # A reference across tenants, or a value that no row may have.
                rolled = True
            else:
                rolled = False
            try:
                if tenant == owned.stranger:
                    # Nothing of the owner's, not even an id or a name that it was asked about.
                    theirs = rf"{MARK}|{ID}" if name in ECHOES else rf"{MARK}|{ID}|'{NAME}'"
                    assert not re.search(theirs, str([list(row.values()) for row in rows])), name
                    if not rolled:
                        assert await owned.everything() == before, name
                else:
                    useful += bool(rows) or rolled or await owned.everything() != before
            finally:
                await transaction.rollback()
    assert walked > 80
    # The same arguments reach the owner's things for the owner, or the walk would show nothing.
    assert useful / walked > 0.6


def _shape(name: str, arguments: list[Any]) -> None:
    """Where a type alone does not say what a statement takes."""
    if name.startswith("search_"):
        # Every tool is visible.
        arguments[1] = b"\xff" * 4


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO tools (tenant_id, server_id, name, exposed_name, category, definition, content_hash) "
        "VALUES ($1, $2, 'a', 'a', 'other', '{}', '')",
        "INSERT INTO tool_terms (tenant_id, lexeme, tool_id, count) VALUES ($1, 'a', $2, 1)",
        "INSERT INTO role_rules (tenant_id, role_id, pattern, visibility) VALUES ($1, $2, '*', 'ALLOW')",
        "INSERT INTO role_tools (tenant_id, role_id, tool_id, visibility, denied_explicitly) "
        "VALUES ($1, $2, $2, 'ALLOW', false)",
        "INSERT INTO api_key_roles (tenant_id, key_id, role_id) VALUES ($1, $2, $2)",
        "INSERT INTO key_usage (tenant_id, key_id, day, calls, granted) VALUES ($1, $2, now(), 1, 1)",
        "INSERT INTO api_keys (tenant_id, name, hash, hint, replaces) VALUES ($1, 'a', sha256('a'), 'a', $2)",
    ],
)
async def test_the_database_itself_refuses_a_reference_to_another_tenants_row(owned: Owned, sql: str) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owned.connection.execute(sql, owned.stranger, ID)
