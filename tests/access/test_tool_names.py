"""The names that a tool goes by."""

from __future__ import annotations

import pytest

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.access.tenants import Tenant
from gateway.access.tool_names import tool_by_name, tools_by_name
from gateway.database.pool import Database
from gateway.errors import NotFoundError
from tests.support.catalogue import add_tools, direct_connection


@pytest.mark.parametrize("name", ["github__list", "Github/list", "github/list"])
async def test_a_tool_is_found_by_each_name_of_the_gateways(database: Database, tenant: Tenant, name: str) -> None:
    tools = await add_tools(database, tenant.id, [("github", "list", "git"), ("jira", "list", "other")])
    found = await tool_by_name(database, tenant.id, name)
    assert (found.id, found.server_id, found.name) == (tools[0].id, tools[0].server_id, "list")
    assert (found.exposed_name, found.category, found.removed, found.enabled) == ("github__list", "git", False, True)


@pytest.mark.parametrize("name", ["list", "github", "github/", "/list", "jira/nothing", "", "GITHUB__LIST"])
async def test_other_names_mean_no_tool(database: Database, tenant: Tenant, name: str) -> None:
    await add_tools(database, tenant.id, [("github", "list", "git"), ("jira", "list", "other")])
    with pytest.raises(NotFoundError):
        await tool_by_name(database, tenant.id, name)


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", "github/\udfff"])
async def test_a_name_that_the_database_cannot_hold_is_no_tool(database: Database, tenant: Tenant, name: str) -> None:
    assert await tools_by_name(database, tenant.id, name) == ()


async def test_tools_of_several_servers_share_an_own_name(database: Database, tenant: Tenant) -> None:
    tools = await add_tools(database, tenant.id, [("github", "list", "git"), ("jira", "list", "other")])
    found = await tools_by_name(database, tenant.id, "list")
    assert [(tool.id, tool.own_name_only) for tool in found] == [(tool.id, True) for tool in tools]


async def test_everything_after_the_first_slash_is_the_tool(database: Database, tenant: Tenant) -> None:
    (tool,) = await add_tools(database, tenant.id, [("files", "read", "other")])
    async with direct_connection(database) as connection:
        await connection.execute("UPDATE tools SET name = 'read/all' WHERE id = $1", tool.id)
    assert (await tool_by_name(database, tenant.id, "files/read/all")).id == tool.id


async def test_an_exposed_name_goes_before_the_name_of_a_server_and_that_before_its_slug(
    database: Database, tenant: Tenant
) -> None:
    by_slug, by_name = await add_tools(database, tenant.id, [("one", "run", "other"), ("two", "run", "other")])
    async with direct_connection(database) as connection:
        await connection.execute("UPDATE servers SET name = 'one' WHERE id = $1", by_name.server_id)
    found = await tools_by_name(database, tenant.id, "one/run")
    assert [tool.id for tool in found] == [by_name.id, by_slug.id]
    async with direct_connection(database) as connection:
        await connection.execute("UPDATE tools SET exposed_name = 'run' WHERE id = $1", by_name.id)
    found = await tools_by_name(database, tenant.id, "run")
    assert [(tool.id, tool.own_name_only) for tool in found] == [(by_name.id, False), (by_slug.id, True)]


async def test_each_tool_comes_with_what_the_roles_see_of_it(database: Database, tenant: Tenant) -> None:
    await add_tools(database, tenant.id, [("github", "list", "git"), ("jira", "list", "other")])
    role = await create_role(database, tenant.id, "dev")
    await set_rule(database, tenant.id, role.id, "ALLOW", category="git")
    assert [tool.visibility for tool in await tools_by_name(database, tenant.id, "list", [role.id])] == ["ALLOW", None]
    assert [tool.visibility for tool in await tools_by_name(database, tenant.id, "list")] == [None, None]
