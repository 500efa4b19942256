"""Tenants: made, renamed, suspended, deleted."""

from __future__ import annotations

import pytest

from gateway.access.caller import Limits
from gateway.access.keys import ApiKeys
from gateway.access.limits import Limiter
from gateway.access.profiles import Profiles
from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.access.tenants import (
    create_tenant,
    delete_tenant,
    list_tenants,
    rename_tenant,
    suspend_tenant,
    tenant_by_slug,
)
from gateway.database.pool import Database
from gateway.errors import ConflictError, CredentialError, InvalidInputError, NotFoundError
from tests.support.catalogue import add_tools, direct_connection


async def test_a_suspended_tenant_lets_nobody_in_until_it_is_resumed(database: Database) -> None:
    tenant = await create_tenant(database, "acme", "Acme")
    await create_role(database, tenant.id, "dev")
    keys = ApiKeys(database)
    key = (await keys.create(tenant.id, "ci", ["dev"])).key
    await suspend_tenant(database, tenant.id, suspended=True)
    with pytest.raises(CredentialError, match="suspended"):
        await keys.authenticate(key)
    since = (await tenant_by_slug(database, "acme")).suspended_at
    await suspend_tenant(database, tenant.id, suspended=True)
    assert (await tenant_by_slug(database, "acme")).suspended_at == since
    await suspend_tenant(database, tenant.id, suspended=False)
    assert (await keys.authenticate(key)).tenant_id == tenant.id


async def test_a_deleted_tenant_leaves_nothing_behind(database: Database) -> None:
    tenant = await create_tenant(database, "acme")
    role = await create_role(database, tenant.id, "dev", "ALLOW")
    tools = await add_tools(database, tenant.id, [("files", "read", "other")])
    await set_rule(database, tenant.id, role.id, "ALLOW", tool_id=tools[0].id)
    await Profiles(database).create(tenant.id, "few")
    keys = ApiKeys(database)
    made = await keys.create(tenant.id, "ci", ["dev"], limits=Limits(calls_per_day=5))
    rotated = await keys.rotate(tenant.id, made.id)
    caller = await keys.authenticate(rotated.key)
    async with Limiter(database).call_slot(caller):
        pass
    with pytest.raises(InvalidInputError, match="'acme'"):
        await delete_tenant(database, tenant, "ACME")
    assert "acme" in [each.slug for each in await list_tenants(database)]
    await delete_tenant(database, tenant, "acme")
    async with direct_connection(database) as connection:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.columns JOIN information_schema.tables USING (table_name) "
            "WHERE column_name = 'tenant_id' AND table_type = 'BASE TABLE' AND columns.table_schema = 'public'"
        )
        assert len(tables) > 10
        # The audit log outlives what it was done to.
        for row in [row for row in tables if not row[0].startswith(("audit_log", "tool_calls"))]:
            left = await connection.fetchval(f"SELECT count(*) FROM {row[0]} WHERE tenant_id = $1", tenant.id)
            assert left == 0, row[0]
    with pytest.raises(CredentialError, match="unknown"):
        await keys.authenticate(rotated.key)
    with pytest.raises(NotFoundError):
        await delete_tenant(database, tenant, "acme")


async def test_the_default_tenant_stays(database: Database) -> None:
    tenant = await tenant_by_slug(database)
    with pytest.raises(InvalidInputError, match="cannot be deleted"):
        await delete_tenant(database, tenant, "default")


async def test_a_tenant_is_renamed_and_keeps_its_slug(database: Database) -> None:
    tenant = await create_tenant(database, "acme")
    assert tenant.name == "acme"
    await rename_tenant(database, tenant.id, " Acme & Sons ")
    assert (await tenant_by_slug(database, "acme")).name == "Acme & Sons"
    with pytest.raises(InvalidInputError):
        await rename_tenant(database, tenant.id, " ")
    with pytest.raises(NotFoundError):
        await rename_tenant(database, 999, "x")


@pytest.mark.parametrize("slug", ["", "Acme", "a b", "ä", "-a", "a" * 64, "a\x00"])
async def test_a_slug_that_cannot_be_is_refused(database: Database, slug: str) -> None:
    with pytest.raises(InvalidInputError):
        await create_tenant(database, slug)


async def test_a_slug_is_taken_once(database: Database) -> None:
    with pytest.raises(ConflictError, match="'default'"):
        await create_tenant(database, "default")
