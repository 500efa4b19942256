"""What an admin says of one tool: on or off, its names and texts, its category, and who is listed it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.access.rules import RuleInput, RulesInput
from gateway.admin.services.tools.overrides import OverrideInput
from gateway.admin.web.page import post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.pages.access.roles import rule_values
from gateway.admin.web.pages.tools.tool import tool_page
from gateway.admin.web.switch_input import SwitchInput
from gateway.errors import ModelGateError

_PARAMETER_PREFIX = "parameter-"


async def switch_tool(context: PageContext) -> Response:
    """Switch the tool on or off."""
    tool_id = context.path_id("tool")
    wanted = parse_form(SwitchInput, await context.form())
    await context.services.overrides.set_enabled(context.tenant.id, tool_id, enabled=wanted.enabled)
    return context.redirect(f"/tools/{tool_id}")


async def override_tool(context: PageContext) -> Response:
    """Call and describe the tool as it was typed; what was left empty is as the server says."""
    tool_id, submitted = context.path_id("tool"), await context.form()
    try:
        wanted = parse_form(OverrideInput, _override_values(submitted))
        await context.services.overrides.set(context.tenant.id, tool_id, wanted)
    except ModelGateError as error:
        rejection = context.rejection(error)
        return await tool_page(context, rejection.status, overriding=submitted, override_errors=rejection.errors)
    return context.redirect(f"/tools/{tool_id}", profile=wanted.profile_id)


async def reset_override(context: PageContext) -> Response:
    """What the server says holds again."""
    tool_id, submitted = context.path_id("tool"), await context.form()
    profile_id = int(submitted["profile_id"]) if submitted.get("profile_id", "").isdecimal() else None
    await context.services.overrides.remove(context.tenant.id, tool_id, profile_id)
    return context.redirect(f"/tools/{tool_id}", profile=profile_id)


async def accept_category(context: PageContext) -> Response:
    """Take over the category that the embedder proposes, as it was looked at."""
    tool_id = context.path_id("tool")
    wanted = parse_form(OverrideInput, {"category": (await context.form()).get("category")})
    if wanted.category is not None:
        await context.services.overrides.set_category(context.tenant.id, tool_id, wanted.category)
    return context.redirect(f"/tools/{tool_id}")


async def set_role_rule(context: PageContext) -> Response:
    """Say what a role sees of this very tool, or take that rule away."""
    tool_id, role_id = context.path_id("tool"), context.path_id("role")
    rule = parse_form(RuleInput, {**rule_values(await context.form()), "tool_id": tool_id})
    await context.services.roles.set_rules(context.tenant.id, role_id, RulesInput((rule,)))
    return context.redirect(f"/tools/{tool_id}")


def _override_values(submitted: Mapping[str, str]) -> dict[str, object]:
    fields = ("name", "title", "description", "category", "profile_id")
    values: dict[str, object] = {name: submitted[name].strip() for name in fields if submitted.get(name, "").strip()}
    values["parameters"] = {
        name.removeprefix(_PARAMETER_PREFIX): text.strip()
        for name, text in submitted.items()
        if name.startswith(_PARAMETER_PREFIX) and text.strip()
    }
    return values


PAGES = (
    post("/tools/{tool:int}/switch", switch_tool),
    post("/tools/{tool:int}/override", override_tool),
    post("/tools/{tool:int}/override/reset", reset_override),
    post("/tools/{tool:int}/category", accept_category),
    post("/tools/{tool:int}/roles/{role:int}", set_role_rule),
)
