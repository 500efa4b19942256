"""Roles and their rules."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.roles import (
    Decision,
    MatrixRow,
    RoleCard,
    RoleChange,
    RoleInput,
    RuleCard,
    RuleChange,
    RulesInput,
)


@operation("GET", "/roles")
async def list_roles(context: RestContext) -> list[RoleCard]:
    """List the roles."""
    return await context.services.roles.list(context.tenant.id)


@operation("POST", "/roles", status=201)
async def create_role(context: RestContext, body: RoleInput) -> RoleCard:
    """Make a role without rules."""
    return await context.services.roles.create(context.tenant.id, body)


@operation("GET", "/roles/{role_id}")
async def get_role(context: RestContext, role_id: int) -> RoleCard:
    """Show a role."""
    return await context.services.roles.get(context.tenant.id, role_id)


@operation("PATCH", "/roles/{role_id}")
async def change_role(context: RestContext, role_id: int, body: RoleChange) -> RoleCard:
    """Change a role; 409 where another has changed it meanwhile."""
    return await context.services.roles.change(context.tenant.id, role_id, body)


@operation("DELETE", "/roles/{role_id}")
async def remove_role(context: RestContext, role_id: int) -> None:
    """Remove a role with its rules; keys that carry it lose it."""
    await context.services.roles.remove(context.tenant.id, role_id)


@operation("GET", "/roles/{role_id}/rules")
async def list_rules(context: RestContext, role_id: int) -> tuple[RuleCard, ...]:
    """List the rules of a role, the more specific first."""
    return await context.services.roles.rules(context.tenant.id, role_id)


@operation("POST", "/roles/{role_id}/rules")
async def set_rules(context: RestContext, role_id: int, body: RulesInput) -> tuple[RuleCard, ...]:
    """Set or take away several rules at once, all or none; answers with all rules of the role."""
    return await context.services.roles.set_rules(context.tenant.id, role_id, body)


@operation("PATCH", "/roles/{role_id}/rules/{rule_id}")
async def change_rule(context: RestContext, role_id: int, rule_id: int, body: RuleChange) -> RuleCard:
    """Change what a rule says; 409 where another has changed it meanwhile."""
    return await context.services.roles.change_rule(context.tenant.id, role_id, rule_id, body)


@operation("DELETE", "/roles/{role_id}/rules/{rule_id}")
async def remove_rule(context: RestContext, role_id: int, rule_id: int) -> None:
    """Remove a rule."""
    await context.services.roles.remove_rule(context.tenant.id, role_id, rule_id)


@operation("GET", "/roles/{role_id}/matrix")
async def get_role_matrix(context: RestContext, role_id: int) -> tuple[MatrixRow, ...]:
    """Show what a role sees, server by server."""
    return await context.services.roles.matrix(context.tenant.id, role_id)


@operation("GET", "/roles/{role_id}/explain/{tool_id}")
async def explain_tool(context: RestContext, role_id: int, tool_id: int) -> Decision:
    """Tell which rule of a role decided about a tool, and why."""
    return await context.services.roles.explain(context.tenant.id, role_id, tool_id)


OPERATIONS = (
    list_roles,
    create_role,
    get_role,
    change_role,
    remove_role,
    list_rules,
    set_rules,
    change_rule,
    remove_rule,
    get_role_matrix,
    explain_tool,
)
