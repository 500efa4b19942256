"""Roles, and what each sees: the default, rules about servers, tools, patterns and categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.access.roles import RoleChange, RoleInput, RuleInput, RulesInput
from gateway.admin.services.tools.tools import ToolFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.catalog.category import CATEGORIES
from gateway.errors import ModelGateError

_PAGE_TOOLS = 500


async def list_roles(context: PageContext) -> Response:
    """All roles, and the form for another."""
    return context.render("roles.html", roles=await context.services.roles.list(context.tenant.id), submitted={})


async def create_role(context: PageContext) -> Response:
    """Make a role, and go to it."""
    submitted = await context.form()
    try:
        role = await context.services.roles.create(context.tenant.id, parse_form(RoleInput, _without_blanks(submitted)))
    except ModelGateError as error:
        roles = await context.services.roles.list(context.tenant.id)
        return context.render_form_errors("roles.html", error, submitted, roles=roles)
    return context.redirect(f"/roles/{role.id}")


async def show_role(context: PageContext) -> Response:
    """What a role sees, server by server, and its rules."""
    return context.render("role.html", **await _role_values(context), submitted={}, submitted_rule={})


async def change_role(context: PageContext) -> Response:
    """Change name, description and default."""
    submitted = await context.form()
    try:
        change = parse_form(RoleChange, submitted)
        await context.services.roles.change(context.tenant.id, context.path_id("role"), change)
    except ModelGateError as error:
        values = {**await _role_values(context), "submitted_rule": {}}
        return context.render_form_errors("role.html", error, submitted, **values)
    return context.redirect(f"/roles/{context.path_id('role')}")


async def set_rule(context: PageContext) -> Response:
    """Set the rule about one target, or take it away where no visibility is chosen."""
    submitted = await context.form()
    role_id = context.path_id("role")
    try:
        rule = parse_form(RuleInput, rule_values(submitted))
        await context.services.roles.set_rules(context.tenant.id, role_id, RulesInput((rule,)))
    except ModelGateError as error:
        if context.is_htmx:
            raise
        rejection = context.rejection(error)
        errors = {"target": " ".join(rejection.errors.values())}
        # The form of the role itself has fields of the same names: it shows what is stored.
        values = {**await _role_values(context), "submitted": {}, "submitted_rule": submitted, "errors": errors}
        return context.render("role.html", rejection.status, **values)
    if not context.is_htmx:
        return context.redirect(f"/roles/{role_id}")
    if rule.tool_id is not None:
        return context.render("role_tool.html", **await _tool_values(context, rule.tool_id))
    return context.render("role_matrix.html", **await _role_values(context))


async def remove_rule(context: PageContext) -> Response:
    """Take a rule away."""
    role_id = context.path_id("role")
    await context.services.roles.remove_rule(context.tenant.id, role_id, context.path_id("rule"))
    if not context.is_htmx:
        return context.redirect(f"/roles/{role_id}")
    return context.render("role_matrix.html", **await _role_values(context))


async def remove_role(context: PageContext) -> Response:
    """Remove a role with its rules."""
    await context.services.roles.remove(context.tenant.id, context.path_id("role"))
    return context.redirect("/roles")


async def show_role_server(context: PageContext) -> Response:
    """What a role sees of the tools of one server, tool by tool."""
    tenant_id, role_id, server_id = context.tenant.id, context.path_id("role"), context.path_id("server")
    server = await context.services.servers.get(tenant_id, server_id, context.principal)
    query = ToolFilter(server_id=server_id, role_id=role_id, limit=_PAGE_TOOLS, cursor=context.query("after") or None)
    rules = await context.services.roles.rules(tenant_id, role_id)
    return context.render(
        "role_server.html",
        role=await context.services.roles.get(tenant_id, role_id),
        server=server.card,
        tools=await context.services.tools.list(tenant_id, query),
        tool_rules={rule.tool_id: rule.visibility for rule in rules if rule.tool_id is not None},
    )


async def explain_tool(context: PageContext) -> Response:
    """Which rule decided about a tool, in words."""
    decision = await context.services.roles.explain(context.tenant.id, context.path_id("role"), context.path_id("tool"))
    return context.render("role_decision.html", decision=decision)


async def _role_values(context: PageContext) -> dict[str, Any]:
    tenant_id, role_id = context.tenant.id, context.path_id("role")
    return {
        "role": await context.services.roles.get(tenant_id, role_id),
        "rows": await context.services.roles.matrix(tenant_id, role_id),
        "rules": await context.services.roles.rules(tenant_id, role_id),
        "categories": CATEGORIES,
    }


async def _tool_values(context: PageContext, tool_id: int) -> dict[str, Any]:
    tenant_id, role_id = context.tenant.id, context.path_id("role")
    tool = await context.services.tools.get(tenant_id, tool_id)
    rules = await context.services.roles.rules(tenant_id, role_id)
    return {
        "role": await context.services.roles.get(tenant_id, role_id),
        "tool": tool,
        "visibility": next((view.visibility for view in tool.roles if view.role_id == role_id), "DENY"),
        "tool_rules": {rule.tool_id: rule.visibility for rule in rules if rule.tool_id is not None},
    }


def rule_values(submitted: Mapping[str, str]) -> dict[str, str | None]:
    """What a form says of a rule: an empty `visibility` takes it away, and one that is missing says nothing."""
    chosen: dict[str, str | None] = {"visibility": None} if "visibility" in submitted else {}
    return chosen | _without_blanks(submitted)


def _without_blanks(submitted: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in submitted.items() if value.strip()}


PAGES = (
    get("/roles", list_roles),
    post("/roles", create_role),
    get("/roles/{role:int}", show_role),
    post("/roles/{role:int}", change_role),
    post("/roles/{role:int}/remove", remove_role),
    post("/roles/{role:int}/rules", set_rule),
    post("/roles/{role:int}/rules/{rule:int}/remove", remove_rule),
    get("/roles/{role:int}/servers/{server:int}", show_role_server),
    get("/roles/{role:int}/tools/{tool:int}", explain_tool),
)
