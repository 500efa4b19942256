"""Roles, and what each sees: the default, rules about servers, tools, patterns and categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.problem import problem_of
from gateway.admin.reading import read_form
from gateway.admin.services.access.roles import RoleChange, RoleInput, RuleInput, RulesInput
from gateway.admin.services.tools import ToolFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.pages.tools import CATEGORIES
from gateway.admin.web.visit import PageContext, errors_of
from gateway.errors import ModelGateError

_TOOLS = 500


async def list_roles(visit: PageContext) -> Response:
    """All roles, and the form for another."""
    return visit.page("roles.html", roles=await visit.actions.roles.list(visit.tenant.id), sent={})


async def create(visit: PageContext) -> Response:
    """Make a role, and go to it."""
    sent = await visit.form()
    try:
        role = await visit.actions.roles.create(visit.tenant.id, read_form(RoleInput, _filled(sent)))
    except ModelGateError as error:
        return visit.refused("roles.html", error, sent, roles=await visit.actions.roles.list(visit.tenant.id))
    return visit.to(f"/roles/{role.id}")


async def show_role(visit: PageContext) -> Response:
    """What a role sees, server by server, and its rules."""
    return visit.page("role.html", **await _role(visit), sent={})


async def change(visit: PageContext) -> Response:
    """Change name, description and default."""
    sent = await visit.form()
    try:
        await visit.actions.roles.change(visit.tenant.id, visit.number("role"), read_form(RoleChange, sent))
    except ModelGateError as error:
        return visit.refused("role.html", error, sent, **await _role(visit))
    return visit.to(f"/roles/{visit.number('role')}")


async def set_rule(visit: PageContext) -> Response:
    """Set the rule about one target, or take it away where no visibility is chosen."""
    sent = await visit.form()
    role_id = visit.number("role")
    try:
        rule = read_form(RuleInput, {"visibility": None, **_filled(sent)})
        await visit.actions.roles.set_rules(visit.tenant.id, role_id, RulesInput((rule,)))
    except ModelGateError as error:
        if visit.by_htmx:
            raise
        told = {"target": " ".join(errors_of(error).values())}
        return visit.page("role.html", problem_of(error).status, **await _role(visit), sent=sent, errors=told)
    if not visit.by_htmx:
        return visit.to(f"/roles/{role_id}")
    if rule.tool_id is not None:
        return visit.page("role_tool.html", **await _tool(visit, rule.tool_id))
    return visit.page("role_matrix.html", **await _role(visit))


async def remove_rule(visit: PageContext) -> Response:
    """Take a rule away."""
    role_id = visit.number("role")
    await visit.actions.roles.remove_rule(visit.tenant.id, role_id, visit.number("rule"))
    if not visit.by_htmx:
        return visit.to(f"/roles/{role_id}")
    return visit.page("role_matrix.html", **await _role(visit))


async def remove(visit: PageContext) -> Response:
    """Remove a role with its rules."""
    await visit.actions.roles.remove(visit.tenant.id, visit.number("role"))
    return visit.to("/roles")


async def show_server(visit: PageContext) -> Response:
    """What a role sees of the tools of one server, tool by tool."""
    tenant_id, role_id, server_id = visit.tenant.id, visit.number("role"), visit.number("server")
    server = await visit.actions.servers.get(tenant_id, server_id, visit.principal)
    wanted = ToolFilter(server_id=server_id, role_id=role_id, limit=_TOOLS, cursor=visit.asked("after") or None)
    rules = await visit.actions.roles.rules(tenant_id, role_id)
    return visit.page(
        "role_server.html",
        role=await visit.actions.roles.get(tenant_id, role_id),
        server=server.card,
        tools=await visit.actions.tools.list(tenant_id, wanted),
        own={rule.tool_id: rule.visibility for rule in rules if rule.tool_id is not None},
    )


async def explain(visit: PageContext) -> Response:
    """Which rule decided about a tool, in words."""
    decision = await visit.actions.roles.explain(visit.tenant.id, visit.number("role"), visit.number("tool"))
    return visit.page("role_decision.html", decision=decision)


async def _role(visit: PageContext) -> dict[str, Any]:
    tenant_id, role_id = visit.tenant.id, visit.number("role")
    return {
        "role": await visit.actions.roles.get(tenant_id, role_id),
        "rows": await visit.actions.roles.matrix(tenant_id, role_id),
        "rules": await visit.actions.roles.rules(tenant_id, role_id),
        "categories": CATEGORIES,
    }


async def _tool(visit: PageContext, tool_id: int) -> dict[str, Any]:
    tenant_id, role_id = visit.tenant.id, visit.number("role")
    tool = await visit.actions.tools.get(tenant_id, tool_id)
    rules = await visit.actions.roles.rules(tenant_id, role_id)
    return {
        "role": await visit.actions.roles.get(tenant_id, role_id),
        "tool": tool,
        "visibility": next((view.visibility for view in tool.roles if view.role_id == role_id), "DENY"),
        "own": {rule.tool_id: rule.visibility for rule in rules if rule.tool_id is not None},
    }


def _filled(sent: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in sent.items() if value.strip()}


PAGES = (
    get("/roles", list_roles),
    post("/roles", create),
    get("/roles/{role:int}", show_role),
    post("/roles/{role:int}", change),
    post("/roles/{role:int}/remove", remove),
    post("/roles/{role:int}/rules", set_rule),
    post("/roles/{role:int}/rules/{rule:int}/remove", remove_rule),
    get("/roles/{role:int}/servers/{server:int}", show_server),
    get("/roles/{role:int}/tools/{tool:int}", explain),
)
