"""Profiles: named selections of tools with an endpoint of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.access.profiles import ProfileChange, ProfileInput
from gateway.admin.services.access.rules import RuleInput, RulesInput
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.catalog.category import CATEGORIES
from gateway.errors import ModelGateError

_LIST_MODES = (
    ("search", "search only: no tool is listed"),
    ("chosen", "search, and tools selected with ALLOW are listed"),
    ("all", "every selected tool is listed"),
)


async def list_profiles(context: PageContext) -> Response:
    """All profiles, and the form for another."""
    return context.render("profiles.html", **await _list_values(context), submitted={})


async def create_profile(context: PageContext) -> Response:
    """Make a profile, and go on to what it selects."""
    submitted = await context.form()
    try:
        new = parse_form(ProfileInput, submitted)
        profile = await context.services.profiles.create(context.tenant.id, new)
    except ModelGateError as error:
        return context.render_form_errors("profiles.html", error, submitted, **await _list_values(context))
    return context.redirect(f"/profiles/{profile.id}")


async def show_profile(context: PageContext) -> Response:
    """What a profile selects, and where its endpoint is."""
    return context.render("profile.html", **await _values(context), submitted={})


async def change_profile(context: PageContext) -> Response:
    """Change its name, description or what it lists."""
    submitted, profile_id = await context.form(), context.path_id("profile")
    try:
        change = parse_form(ProfileChange, submitted)
        await context.services.profiles.change(context.tenant.id, profile_id, change)
    except ModelGateError as error:
        return context.render_form_errors("profile.html", error, submitted, **await _values(context))
    return context.redirect(f"/profiles/{profile_id}")


async def select_tools(context: PageContext) -> Response:
    """Select or leave out a server, a category or tools by pattern."""
    submitted, profile_id = await context.form(), context.path_id("profile")
    try:
        given = {name: value.strip() for name, value in submitted.items() if value.strip()}
        rules = RulesInput((parse_form(RuleInput, given),))
        await context.services.profiles.set_rules(context.tenant.id, profile_id, rules)
    except ModelGateError as error:
        rejection = context.rejection(error)
        values = {**await _values(context), "submitted": submitted}
        errors = {"target": " ".join(rejection.errors.values())}
        return context.render("profile.html", rejection.status, **values, errors=errors)
    return context.redirect(f"/profiles/{profile_id}")


async def remove_selection(context: PageContext) -> Response:
    """Take one rule away."""
    profile_id = context.path_id("profile")
    await context.services.profiles.remove_rule(context.tenant.id, profile_id, context.path_id("rule"))
    return context.redirect(f"/profiles/{profile_id}")


async def remove_profile(context: PageContext) -> Response:
    """Remove a profile with its endpoint."""
    await context.services.profiles.remove(context.tenant.id, context.path_id("profile"))
    return context.redirect("/profiles")


async def _list_values(context: PageContext) -> Mapping[str, Any]:
    return {"profiles": await context.services.profiles.list(context.tenant.id), "list_modes": _LIST_MODES}


async def _values(context: PageContext) -> dict[str, Any]:
    tenant_id, profile_id = context.tenant.id, context.path_id("profile")
    profile = await context.services.profiles.get(tenant_id, profile_id)
    return {
        "profile": profile,
        "endpoint": context.mcp_url.removesuffix("/mcp") + profile.path,
        "rules": await context.services.profiles.rules(tenant_id, profile_id),
        "servers": await context.services.servers.names(tenant_id),
        "categories": CATEGORIES,
        "list_modes": _LIST_MODES,
    }


PAGES = (
    get("/profiles", list_profiles),
    post("/profiles", create_profile),
    get("/profiles/{profile:int}", show_profile),
    post("/profiles/{profile:int}", change_profile),
    post("/profiles/{profile:int}/rules", select_tools),
    post("/profiles/{profile:int}/rules/{rule:int}/remove", remove_selection),
    post("/profiles/{profile:int}/remove", remove_profile),
)
