"""Changes, as the database itself writes them to the audit log."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.access.roles import create_role
from gateway.access.tenants import create_tenant, delete_tenant
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.sync.health_check import HealthChecks
from gateway.components import Components
from gateway.database.actor import Actor, acting_as
from gateway.upstream.status import ServerStatus
from tests.support.audit import audit_rows, default_tenant_id, tool_use
from tests.support.catalogue import direct_connection
from tests.support.gateway import add_local_mcp


async def test_every_change_is_recorded_with_who_made_it_and_without_its_secrets(parts: Components) -> None:
    tenant = await default_tenant_id(parts.database)
    with acting_as(Actor("admin", "ada", 7, ("admin",), "10.0.0.1")):
        await parts.servers.add(
            tenant,
            ServerDefinition(
                "Docs",
                "http",
                url="https://user:pw@docs.example/mcp?key=s3cret",
                headers={"Authorization": "Bearer s3cret"},
            ),
        )
        await parts.keys.create(tenant, "laptop", ["all"])
        await create_role(parts.database, tenant, "reader")
    rows = await audit_rows(parts.database, tenant=tenant)
    by_action = {row["action"]: row for row in rows}
    assert {"server.added", "key.added", "key role.added", "role.added"} <= set(by_action)
    added = by_action["server.added"]
    assert (added["actor_kind"], added["actor_id"], added["actor_name"]) == ("admin", 7, "ada")
    assert (added["roles"], added["address"], added["target"]) == (["admin"], "10.0.0.1", "Docs")
    assert added["details"]["url"] == "https://docs.example/mcp"
    assert "s3cret" not in str([dict(row) for row in rows])
    assert by_action["key.added"]["details"]["hash"] == "********"


async def test_a_server_leaves_no_secret_in_any_column(parts: Components) -> None:
    tenant = await default_tenant_id(parts.database)
    server = await parts.servers.add(
        tenant,
        ServerDefinition(
            "Runner",
            "stdio",
            command="npx",
            args=("-y", "--conn", "postgres://u:s3cret@db/x", "s3cretpositional", "-ps3cret", "--pin=s3cret", "s3cret"),
            description="see https://me:s3cret@wiki.example/x or sk-s3cret0123456789abcdef",
        ),
    )
    async with direct_connection(parts.database) as connection:
        await connection.execute(
            """UPDATE servers SET transport = 'openapi', command = NULL, document = '{"x": "s3cret"}',
                      document_url = 'https://u:s3cret@api.example/o?k=s3cret', url = 'https://u:s3/cret@x.example/p@th',
                      sealed_grant = 's3cret', limits = '{"s3": "sk-s3cret0123456789abcdef"}', last_error = 's3cret'
               WHERE id = $1""",
            server,
        )
        await connection.execute("UPDATE servers SET sealed_grant = 's3cret two' WHERE id = $1", server)
    added, changed = await _details(parts, "server.added"), await _details(parts, "server.changed")
    assert "s3cret" not in f"{added} {changed}"
    assert "s3/cret" not in f"{added} {changed}"
    mask = "********"
    assert added[0]["args"] == ["-y", "--conn", mask, mask, mask, f"--pin={mask}", mask]
    # The renewal of a grant is nobody's decision.
    assert len(changed) == 1
    assert changed[0]["document_url"] == [None, "https://api.example/o"]
    assert changed[0]["sealed_grant"] == [False, True]


async def test_a_column_that_is_not_named_for_it_is_not_shown(parts: Components) -> None:
    tenant = await default_tenant_id(parts.database)
    role = await create_role(parts.database, tenant, "reader")
    async with direct_connection(parts.database) as connection:
        await connection.execute("ALTER TABLE roles ADD COLUMN oops text")
        await connection.execute("UPDATE roles SET oops = 's3cret' WHERE id = $1", role.id)
        assert not await _details(parts, "role.changed", wanted=0)
        await connection.execute("UPDATE roles SET oops = 's3cret 2', description = 'all' WHERE id = $1", role.id)
    (details,) = await _details(parts, "role.changed")
    assert details == {"id": role.id, "description": ["", "all"]}


async def test_every_column_that_is_named_is_there(parts: Components) -> None:
    async with direct_connection(parts.database) as connection:
        missing = await connection.fetch(
            """SELECT table_name, column_name FROM traced_columns
               EXCEPT SELECT table_name, column_name FROM information_schema.columns"""
        )
        assert missing == []


async def test_what_a_health_check_finds_is_no_change(parts: Components, tmp_path: Path) -> None:
    server = await add_local_mcp(parts, tmp_path)
    tenant = await default_tenant_id(parts.database)
    checks = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, parts.settings.upstream, parts.notices)
    before = len(await audit_rows(parts.database, tenant=tenant))
    for state in ("connected", "failing"):
        status = ServerStatus(state, last_seen=datetime.now(timezone.utc), latency_ms=1.0, restarts=1, last_error="x")
        await checks.record_health(tenant, server, status)
    assert len(await audit_rows(parts.database, tenant=tenant)) == before


async def test_rows_name_roles_keys_servers_and_tools(parts: Components, tmp_path: Path) -> None:
    database = parts.database
    server = await add_local_mcp(parts, tmp_path)
    tenant = await default_tenant_id(database)
    role = await create_role(database, tenant, "reader")
    await parts.keys.create(tenant, "laptop", ["reader"])
    async with direct_connection(database) as connection:
        tool = await connection.fetchval("SELECT id FROM tools WHERE name = 'calculator'")
        for column, value in (("server_id", server), ("tool_id", tool)):
            await connection.execute(
                f"INSERT INTO role_rules (tenant_id, role_id, {column}, visibility) VALUES ($1, $2, $3, 'DENY')",
                tenant,
                role.id,
                value,
            )
        await connection.execute("DELETE FROM roles WHERE id = $1", role.id)
    rules = await audit_rows(database, action="rule.", tenant=tenant, wanted=4)
    assert {row["target"] for row in rules} == {"reader"}
    named = [(row["action"], row["details"].get("server"), row["details"].get("tool")) for row in rules]
    assert sorted(named, key=str) == sorted(
        [
            (action, server_name, tool_name)
            for action in ("rule.added", "rule.removed")
            for server_name, tool_name in (("Local MCP", None), (None, "local_mcp__calculator"))
        ],
        key=str,
    )
    keys = await audit_rows(database, action="key role.", tenant=tenant, wanted=2)
    assert [(row["action"], row["target"], row["details"]["role"]) for row in keys] == [
        ("key role.removed", "laptop", "reader"),
        ("key role.added", "laptop", "reader"),
    ]


async def test_a_tenant_is_removed_with_all_that_is_its_own(parts: Components, tmp_path: Path) -> None:
    tenant = await create_tenant(parts.database, "acme")
    role = await create_role(parts.database, tenant.id, "reader")
    await parts.keys.create(tenant.id, "laptop", ["reader"])
    await delete_tenant(parts.database, tenant, "acme")
    rows = await audit_rows(parts.database, action="", tenant=tenant.id, wanted=3)
    assert role.name in {row["target"] for row in rows if row["action"] == "role.removed"}
    assert [row["target"] for row in rows if row["action"] == "tenant.removed"] == ["acme"]


async def test_a_connection_forgets_who_acted_through_it(parts: Components) -> None:
    tenant = await default_tenant_id(parts.database)
    # More at once than there are connections: every one of them was hers.
    with acting_as(Actor("admin", "ada")):
        await asyncio.gather(*(create_role(parts.database, tenant, f"hers-{number}") for number in range(20)))
    await asyncio.gather(*(create_role(parts.database, tenant, f"own-{number}") for number in range(20)))
    rows = await audit_rows(parts.database, action="role.added", tenant=tenant, wanted=40)
    assert {(row["target"].split("-")[0], row["actor_name"]) for row in rows} == {("hers", "ada"), ("own", "gateway")}


async def test_a_change_without_a_person_is_the_gateways_own(parts: Components) -> None:
    tenant = await default_tenant_id(parts.database)
    await create_role(parts.database, tenant, "reader")
    (row,) = await audit_rows(parts.database, action="role.added", tenant=tenant)
    assert row["actor_kind"] == "gateway"


async def _details(parts: Components, action: str, wanted: int = 1) -> list[dict[str, Any]]:
    tenant = await default_tenant_id(parts.database)
    return [row["details"] for row in await audit_rows(parts.database, action=action, tenant=tenant, wanted=wanted)]


async def test_a_sync_that_changes_nothing_of_a_server_is_no_change(parts: Components, tmp_path: Path) -> None:
    server = await add_local_mcp(parts, tmp_path)
    tenant = await default_tenant_id(parts.database)
    await parts.sync.run(tenant, server)
    assert not await parts.database.fetch("audit_page", tenant, None, None, None, "server.changed", None, None, 10)


@pytest.mark.parametrize("table", ["tool_calls", "audit_log"])
async def test_the_audit_log_can_only_be_added_to(parts: Components, table: str) -> None:
    await create_role(parts.database, await default_tenant_id(parts.database), "reader")
    parts.recorder.record(tool_use(1))
    await audit_rows(parts.database, action="tool.call", tenant=1)
    connection = await asyncpg.connect(parts.database.url)
    month = f"{table}_{datetime.now(timezone.utc):%Y_%m}"
    try:
        for statement in (
            f"UPDATE {table} SET target = 'x'",
            f"DELETE FROM {table}",
            f"DELETE FROM {month}",
            f"TRUNCATE {table}",
            f"TRUNCATE {month}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
