"""Changes, as the database itself writes them to the audit log."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path

import asyncpg
import pytest

from gateway.access.roles import create_role
from gateway.app import Components
from gateway.catalog.server_definition import ServerDefinition
from gateway.database.actor import Actor, acting_as
from tests.support.audit import audit_rows, default_tenant_id, tool_use
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
