"""The page of one tool, and trying it."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.servers.review import Approval
from gateway.admin.services.tools import ToolTrial
from gateway.admin.services.usage import CallsFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.schema_form import parse_arguments, schema_fields
from gateway.admin.web.tool_result import result_parts
from gateway.errors import InvalidInputError, ModelGateError

_LAST_CALLS = CallsFilter(limit=20)


async def show_tool(context: PageContext) -> Response:
    """All there is to know of a tool."""
    return await _page(context)


async def call_tool(context: PageContext) -> Response:
    """Call the tool with what was typed, and show the form again with the result."""
    submitted = await context.form()
    tool = await context.services.tools.get(context.tenant.id, context.path_id("tool"))
    definition: Any = tool.definition
    try:
        raw = submitted.get("raw", "").strip()
        arguments = _parse_raw(raw) if raw else parse_arguments(schema_fields(definition.get("inputSchema")), submitted)
        answer = await context.services.tools.call(context.tenant.id, tool.id, ToolTrial(arguments))
    except ModelGateError as error:
        rejection = context.rejection(error)
        return await _page(context, rejection.status, submitted=submitted, errors=rejection.errors)
    parts = result_parts(answer.result) if answer.error is None else []
    return await _page(context, submitted=submitted, answer=answer, parts=parts, arguments=arguments)


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


async def _page(context: PageContext, status: int = 200, **more: Any) -> Response:
    tool = await context.services.tools.get(context.tenant.id, context.path_id("tool"))
    definition: Any = tool.definition
    values = {
        "tool": tool,
        "definition": definition,
        "fields": schema_fields(definition.get("inputSchema")),
        "calls": await context.services.usage.list_tool_calls(context.tenant.id, tool.id, _LAST_CALLS),
        "standing": None if tool.removed_at else await context.services.review.get(context.tenant.id, tool.id),
        "submitted": {},
        "answer": None,
        "parts": [],
        **more,
    }
    # A refusal is part of the form, so that htmx puts it there.
    if context.is_htmx:
        return context.render("tool_try.html", 422 if status >= 400 else status, **values)
    return context.render("tool.html", status, **values)


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
