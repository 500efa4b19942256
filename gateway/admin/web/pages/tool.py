"""The page of one tool, and trying it."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from gateway.admin.problem import problem_of
from gateway.admin.reading import read_form
from gateway.admin.services.servers.review import Approval
from gateway.admin.services.tools import ToolTrial, TrialResult
from gateway.admin.services.usage import CallsFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.schema_form import arguments_of, parameters_of
from gateway.admin.web.tool_result import shown_parts
from gateway.admin.web.visit import PageContext, errors_of
from gateway.errors import InvalidInputError, ModelGateError

_CALLS = 20


async def show_tool(visit: PageContext) -> Response:
    """All there is to know of a tool."""
    return await _page(visit)


async def try_tool(visit: PageContext) -> Response:
    """Call the tool with what was typed, and show the form again with the result."""
    sent = await visit.form()
    tool = await visit.actions.tools.get(visit.tenant.id, visit.number("tool"))
    definition: Any = tool.definition
    try:
        raw = sent.get("raw", "").strip()
        arguments = _raw(raw) if raw else arguments_of(parameters_of(definition.get("inputSchema")), sent)
        answer = await visit.actions.tools.call(visit.tenant.id, tool.id, ToolTrial(arguments))
    except ModelGateError as error:
        return await _page(visit, problem_of(error).status, sent=sent, errors=errors_of(error))
    return await _page(visit, sent=sent, answer=answer, parts=_parts(answer), arguments=arguments)


async def approve(visit: PageContext) -> Response:
    """Approve the tool as it was looked at."""
    tool_id = visit.number("tool")
    await visit.actions.approvals.approve(visit.tenant.id, tool_id, read_form(Approval, await visit.form()))
    return visit.to(f"/tools/{tool_id}")


async def quarantine(visit: PageContext) -> Response:
    """Hide the tool from every client until it is approved."""
    tool_id = visit.number("tool")
    await visit.actions.approvals.quarantine(visit.tenant.id, tool_id)
    return visit.to(f"/tools/{tool_id}")


async def _page(visit: PageContext, status: int = 200, **more: Any) -> Response:
    tool = await visit.actions.tools.get(visit.tenant.id, visit.number("tool"))
    definition: Any = tool.definition
    values = {
        "tool": tool,
        "definition": definition,
        "parameters": parameters_of(definition.get("inputSchema")),
        "calls": await visit.actions.usage.calls_of_tool(visit.tenant.id, tool.id, CallsFilter(limit=_CALLS)),
        "standing": None if tool.removed_at else await visit.actions.approvals.get(visit.tenant.id, tool.id),
        "sent": {},
        "answer": None,
        "parts": [],
        **more,
    }
    # A refusal is part of the form, so that htmx puts it there.
    if visit.by_htmx:
        return visit.page("tool_try.html", 422 if status >= 400 else status, **values)
    return visit.page("tool.html", status, **values)


def _raw(text: str) -> dict[str, Any]:
    """Arguments written as JSON. Raises InvalidInputError."""
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInputError("This is not valid JSON.", "raw") from None
    if not isinstance(arguments, dict):
        raise InvalidInputError("The arguments have to be a JSON object.", "raw")
    return arguments


def _parts(answer: TrialResult) -> list[Any]:
    return list(shown_parts(answer.result)) if answer.error is None else []


PAGES = (
    get("/tools/{tool:int}", show_tool),
    post("/tools/{tool:int}/try", try_tool),
    post("/tools/{tool:int}/approve", approve),
    post("/tools/{tool:int}/quarantine", quarantine),
)
