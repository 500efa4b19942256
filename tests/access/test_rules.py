"""Roles and rules as admins change them."""

from __future__ import annotations

import asyncio

import pytest

from gateway.access.explanation import explain
from gateway.access.roles import create_role, delete_role, list_roles, role_by_name, update_role
from gateway.access.rules import delete_rule, list_rules, set_rule, update_rule
from gateway.access.tenants import Tenant, create_tenant
from gateway.access.tool_names import tool_by_name
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError
from tests.support.catalogue import StoredTool, add_tools, direct_connection


@pytest.fixture
async def tools(database: Database, tenant: Tenant) -> list[StoredTool]:
    return await add_tools(
        database,
        tenant.id,
        [("github", "create_issue", "git"), ("github", "delete_repo", "git"), ("jira", "list", "other")],
    )


async def visibility(database: Database, tenant: Tenant, roles: list[int], tool: StoredTool) -> str:
    async with direct_connection(database) as connection:
        found: str | None = await connection.fetchval(
            "SELECT visibility::text FROM visible_tools($1, $2) WHERE tool_id = $3", tenant.id, roles, tool.id
        )
    return found or "DENY"


async def test_of_two_admins_who_change_the_same_rule_one_wins_and_the_other_is_told(
    database: Database, tenant: Tenant, tools: list[StoredTool]
) -> None:
    role = await create_role(database, tenant.id, "dev")
    rule_id = await set_rule(database, tenant.id, role.id, "ALLOW", server_id=tools[0].server_id)
    outcomes = await asyncio.gather(
        update_rule(database, tenant.id, rule_id, 1, "SEARCH"),
        update_rule(database, tenant.id, rule_id, 1, "DENY"),
        return_exceptions=True,
    )
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [2]
    told = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
    assert "changed by someone else" in told[0].message
    (rule,) = await list_rules(database, tenant.id, role.id)
    won = "SEARCH" if outcomes[0] == 2 else "DENY"
    assert (rule.visibility, rule.version) == (won, 2)
    assert await visibility(database, tenant, [role.id], tools[0]) == won
    with pytest.raises(ConflictError):
        await delete_rule(database, tenant.id, rule_id, 1)
    await delete_rule(database, tenant.id, rule_id, 2)
    with pytest.raises(NotFoundError):
        await update_rule(database, tenant.id, rule_id, 2, "ALLOW")


async def test_of_two_admins_who_change_the_same_role_one_wins_and_the_other_is_told(
    database: Database, tenant: Tenant, tools: list[StoredTool]
) -> None:
    role = await create_role(database, tenant.id, "dev")
    assert await update_role(database, tenant.id, role.id, 1, default="ALLOW") == 2
    with pytest.raises(ConflictError, match="at version 2, not 1"):
        await update_role(database, tenant.id, role.id, 1, name="developers")
    assert await visibility(database, tenant, [role.id], tools[0]) == "ALLOW"
    with pytest.raises(ConflictError):
        await delete_role(database, tenant.id, role.id, 1)
    await delete_role(database, tenant.id, role.id, 2)
    with pytest.raises(NotFoundError, match="there are: all"):
        await role_by_name(database, tenant.id, "dev")


async def test_a_new_tool_falls_under_the_rules_that_are_there(database: Database, tenant: Tenant) -> None:
    role = await create_role(database, tenant.id, "careful", "ALLOW")
    await set_rule(database, tenant.id, role.id, "DENY", pattern="*delete*")
    made = await add_tools(database, tenant.id, [("files", "Delete_all", "other"), ("files", "read", "other")])
    assert [await visibility(database, tenant, [role.id], tool) for tool in made] == ["DENY", "ALLOW"]


async def test_a_rule_about_a_tool_waits_while_the_tool_is_gone(
    database: Database, tenant: Tenant, tools: list[StoredTool]
) -> None:
    role = await create_role(database, tenant.id, "dev")
    await set_rule(database, tenant.id, role.id, "ALLOW", tool_id=tools[0].id)
    async with direct_connection(database) as connection:
        await connection.execute("UPDATE tools SET removed_at = now() WHERE id = $1", tools[0].id)
    # Any later change of the rules resolves them for what is there.
    await set_rule(database, tenant.id, role.id, "SEARCH", category="git")
    assert await visibility(database, tenant, [role.id], tools[0]) == "DENY"
    told = await explain(database, tenant.id, role, tools[0].id)
    assert "does not list it any more" in told.reason
    (rule, _) = await list_rules(database, tenant.id, role.id)
    assert (rule.target_description, rule.tool_removed) == ("tool github__create_issue", True)
    async with direct_connection(database) as connection:
        await connection.execute("UPDATE tools SET removed_at = NULL WHERE id = $1", tools[0].id)
    await set_rule(database, tenant.id, role.id, "SEARCH", category="other")
    assert await visibility(database, tenant, [role.id], tools[0]) == "ALLOW"


async def test_the_explanation_names_the_rule_that_decided(
    database: Database, tenant: Tenant, tools: list[StoredTool]
) -> None:
    role = await create_role(database, tenant.id, "dev", "SEARCH")
    await set_rule(database, tenant.id, role.id, "ALLOW", server_id=tools[0].server_id)
    rule_id = await set_rule(database, tenant.id, role.id, "DENY", pattern="*delete*")

    async def told(name: str) -> tuple[str, int | None, str]:
        found = await explain(database, tenant.id, role, (await tool_by_name(database, tenant.id, name)).id)
        return found.visibility, found.rule_id, found.reason

    visible, deciding, reason = await told("Github/delete_repo")
    assert (visible, deciding) == ("DENY", rule_id)
    assert "about the pattern *delete* decides" in reason
    assert "which no other role of a key lifts" in reason
    assert "about the server Github decides" in (await told("github__create_issue"))[2]
    assert (await told("jira/list"))[:2] == ("SEARCH", None)
    assert "default SEARCH decides" in (await told("jira/list"))[2]
    with pytest.raises(NotFoundError):
        await tool_by_name(database, tenant.id, "github__nothing")


async def test_an_explicit_denial_of_one_role_holds_against_the_others(
    database: Database, tenant: Tenant, tools: list[StoredTool]
) -> None:
    free = await create_role(database, tenant.id, "free", "ALLOW")
    bound = await create_role(database, tenant.id, "bound")
    both = [free.id, bound.id]
    assert await visibility(database, tenant, both, tools[1]) == "ALLOW"
    await set_rule(database, tenant.id, bound.id, "DENY", server_id=tools[1].server_id)
    assert await visibility(database, tenant, both, tools[1]) == "ALLOW"
    await set_rule(database, tenant.id, bound.id, "DENY", tool_id=tools[1].id)
    assert await visibility(database, tenant, both, tools[1]) == "DENY"


async def test_changes_at_the_same_time_are_each_resolved_with_the_other(
    database: Database, tenant: Tenant, tools: list[StoredTool]
) -> None:
    roles = [await create_role(database, tenant.id, f"role {number}") for number in range(4)]
    await asyncio.gather(
        *(set_rule(database, tenant.id, role.id, "ALLOW", pattern="*late*") for role in roles),
        add_tools(database, tenant.id, [("late", "comer", "other"), ("later", "comer", "other")]),
    )
    for role in roles:
        assert len((await database.fetchrow("visible_tool_positions", tenant.id, [role.id]))["positions"]) == 2  # type: ignore[index]


@pytest.mark.parametrize("target", [{}, {"pattern": "a*", "category": "git"}, {"pattern": ""}, {"pattern": "a\x00"}])
async def test_a_rule_has_exactly_one_target(database: Database, tenant: Tenant, target: dict[str, str]) -> None:
    role = await create_role(database, tenant.id, "dev")
    with pytest.raises(InvalidInputError):
        await set_rule(database, tenant.id, role.id, "ALLOW", **target)  # type: ignore[arg-type]


async def test_a_rule_cannot_be_about_another_tenants_tool(
    database: Database, tenant: Tenant, tools: list[StoredTool]
) -> None:
    other = await create_tenant(database, "other")
    theirs = await create_role(database, other.id, "dev", "ALLOW")
    with pytest.raises(NotFoundError):
        await set_rule(database, other.id, theirs.id, "ALLOW", tool_id=tools[0].id)
    with pytest.raises(NotFoundError):
        await set_rule(database, tenant.id, theirs.id, "ALLOW", tool_id=tools[0].id)


async def test_names_and_values_that_cannot_be_are_refused(database: Database, tenant: Tenant) -> None:
    for name in ("", " ", "a\x00b", "x" * 101):
        with pytest.raises(InvalidInputError):
            await create_role(database, tenant.id, name)
    with pytest.raises(InvalidInputError, match="ALLOW, SEARCH, DENY"):
        await create_role(database, tenant.id, "dev", "MAYBE")  # type: ignore[arg-type]
    with pytest.raises(ConflictError):
        await create_role(database, tenant.id, "all")
    assert [role.name for role in await list_roles(database, tenant.id)] == ["all"]
