"""The page of one tool, and trying it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.calls import CallFilter
from gateway.admin.services.servers.review import Approval
from gateway.admin.services.tools.tool_trials import ToolTrial
from gateway.admin.services.tools.tools import ToolDetail
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.presentation.schema_form import parse_arguments, schema_fields
from gateway.admin.web.presentation.tool_result import result_parts
from gateway.catalog.category import CATEGORIES
from gateway.errors import InvalidInputError, ModelGateError

_MAX_CALLS = 10


async def show_tool(context: PageContext) -> Response:
    """All there is to know of a tool."""
    return await tool_page(context)


async def call_tool(context: PageContext) -> Response:
    """Call the tool with what was typed, and show the form again with the result."""
    submitted = await context.form()
    tool = await context.services.tools.get(context.tenant.id, context.path_id("tool"))
    definition: Any = tool.definition
    try:
        raw = submitted.get("raw", "").strip()
        arguments = _parse_raw(raw) if raw else parse_arguments(schema_fields(definition.get("inputSchema")), submitted)
        answer = await context.services.tool_trials.call(context.tenant.id, tool.id, ToolTrial(arguments))
    except ModelGateError as error:
        rejection = context.rejection(error)
        return await tool_page(context, rejection.status, submitted=submitted, errors=rejection.errors)
    parts = result_parts(answer.result) if answer.error is None else []
    return await tool_page(context, submitted=submitted, answer=answer, parts=parts, arguments=arguments)


async def approve_tool(context: PageContext) -> Response:
    """Approve the tool as it was looked at."""
    tool_id = context.path_id("tool")
    await context.services.review.approve(context.tenant.id, tool_id, parse_form(Approval, await context.form()))
    return context.redirect(f"/tools/{tool_id}")


async def quarantine_tool(context: PageContext) -> Response:
    """Hide the tool from every client until it is approved."""
    tool_id = context.path_id("tool")
    await context.services.review.quarantine(context.tenant.id, tool_id)
    return context.redirect(f"/tools/{tool_id}")


async def tool_page(context: PageContext, status: int = 200, **more: Any) -> Response:
    """The page of the tool that the path names, with `more` than there is to know of it."""
    tool = await context.services.tools.get(context.tenant.id, context.path_id("tool"))
    definition: Any = tool.definition
    last_calls = CallFilter(tool_id=tool.id, limit=_MAX_CALLS)
    values = {
        "tool": tool,
        "definition": definition,
        "fields": schema_fields(definition.get("inputSchema")),
        "calls": (await context.services.calls.list(context.tenant.id, last_calls)).items,
        "standing": None if tool.removed_at else await context.services.review.get(context.tenant.id, tool.id),
        "examples": await context.services.examples.list(context.tenant.id, tool.id),
        "searches": await context.services.examples.searches(context.tenant.id, tool.id),
        "delayed": context.query("delayed")[:300],
        "example_errors": {},
        "example_text": "",
        **await _override_values(context, tool, more.get("overriding")),
        "submitted": {},
        "answer": None,
        "parts": [],
        **more,
    }
    # A refusal is part of the form, so that htmx puts it there.
    if context.is_htmx:
        return context.render("tool_try.html", 422 if status >= 400 else status, **values)
    return context.render("tool.html", status, **values)


async def _override_values(context: PageContext, tool: ToolDetail, typed: Mapping[str, str] | None) -> dict[str, Any]:
    """What is overridden everywhere, or at the profile that was asked for, as the form shows it."""
    profile = (typed or {}).get("profile_id") or context.query("profile")
    overrides = await context.services.overrides.list(context.tenant.id, tool.id)
    chosen = next((each for each in overrides if str(each.profile_id or "") == profile), None)
    upstream: Any = tool.upstream_definition
    return {
        "overrides": overrides,
        "override": chosen,
        "override_profile": profile,
        "profiles": await context.services.profiles.list(context.tenant.id),
        "upstream": upstream,
        "upstream_fields": schema_fields(upstream.get("inputSchema")),
        "categories": CATEGORIES,
        "overriding": None,
        "override_errors": {},
    }


def _parse_raw(text: str) -> dict[str, Any]:
    """Arguments written as JSON. Raises InvalidInputError."""
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInputError("This is not valid JSON.", "raw") from None
    if not isinstance(arguments, dict):
        raise InvalidInputError("The arguments have to be a JSON object.", "raw")
    return arguments


PAGES = (
    get("/tools/{tool:int}", show_tool),
    post("/tools/{tool:int}/try", call_tool),
    post("/tools/{tool:int}/approve", approve_tool),
    post("/tools/{tool:int}/quarantine", quarantine_tool),
)
