"""The examples of a tool, and giving one to the tool that a search was meant for."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.playground import PlaygroundAnswer, PlaygroundQuery
from gateway.admin.services.tools.examples import ExampleInput
from gateway.admin.services.tools.tools import ToolFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.pages.tools.tool import tool_page
from gateway.catalog.examples.example_text import example_text
from gateway.errors import InvalidInputError, ModelGateError

_MAX_QUERY_CHARACTERS = 4_000
_MAX_ID_DIGITS = 18
_MAX_NAME_CHARACTERS = 200
_SHOWN = 8


async def add_example(context: PageContext) -> Response:
    """Give the tool of the path an example."""
    submitted = await context.form()
    tool_id = context.path_id("tool")
    try:
        view = await context.services.examples.add(context.tenant.id, tool_id, parse_form(ExampleInput, submitted))
    except ModelGateError as error:
        rejection = context.rejection(error)
        errors = {"example_errors": rejection.errors, "example_text": submitted.get("text", "")}
        return await tool_page(context, rejection.status, **errors)
    return context.redirect(f"/tools/{tool_id}", delayed=view.delayed[:300])


async def remove_example(context: PageContext) -> Response:
    """Take an example away."""
    tool_id = context.path_id("tool")
    await context.services.examples.remove(context.tenant.id, tool_id, context.path_id("example"))
    return context.redirect(f"/tools/{tool_id}")


async def approve_example(context: PageContext) -> Response:
    """Say that an example is meant."""
    tool_id = context.path_id("tool")
    await context.services.examples.approve(context.tenant.id, tool_id, context.path_id("example"))
    return context.redirect(f"/tools/{tool_id}")


async def show_missed_search(context: PageContext) -> Response:
    """A search that found nothing, and the tools that came nearest: one of them may be meant."""
    return await _missed_page(context, context.query("q")[:_MAX_QUERY_CHARACTERS])


async def answer_missed_search(context: PageContext) -> Response:
    """Give the search to the tool that is meant as an example, and run it again beside what it found before."""
    submitted = await context.form()
    query = submitted.get("q", "").strip()[:_MAX_QUERY_CHARACTERS]
    try:
        before = await _search(context, query)
        tool_id = await _meant_tool(context, submitted)
        # Cut after it is masked, for half a secret is told by no pattern.
        wanted = ExampleInput(example_text(query))
        view = await context.services.examples.add(context.tenant.id, tool_id, wanted)
        tool = await context.services.tools.get(context.tenant.id, tool_id)
    except ModelGateError as error:
        rejection = context.rejection(error)
        return await _missed_page(context, query, rejection.status, errors=rejection.errors, name=submitted.get("name"))
    return await _missed_page(context, query, before=before, meant=tool, delayed=view.delayed)


async def _missed_page(context: PageContext, query: str, status: int = 200, **values: Any) -> Response:
    defaults: dict[str, Any] = {"before": None, "meant": None, "delayed": "", "name": "", "errors": {}}
    answer = await _search(context, query) if query else None
    return context.render("missed_search.html", status, query=query, answer=answer, **{**defaults, **values})


async def _search(context: PageContext, query: str) -> PlaygroundAnswer:
    """The best for this search, of all tools that any role finds, with those that are not good enough."""
    asked = parse_form(PlaygroundQuery, {"query": query, "max_results": str(_SHOWN)})
    return await context.services.playground.search(context.tenant.id, asked)


async def _meant_tool(context: PageContext, submitted: Any) -> int:
    """The tool that was chosen, or is named. Raises InvalidInputError."""
    chosen = submitted.get("tool", "")
    if chosen.isdecimal() and len(chosen) <= _MAX_ID_DIGITS:
        return int(chosen)
    name = submitted.get("name", "").strip()[:_MAX_NAME_CHARACTERS]
    if name:
        found = await context.services.tools.list(context.tenant.id, ToolFilter(text=name, limit=50))
        exact = [tool for tool in found.items if name in (tool.exposed_name, tool.name)] or list(found.items)
        if len(exact) == 1:
            return exact[0].id
    raise InvalidInputError("There is no one tool of this name; write all of it, as the list of tools has it.", "name")


PAGES = (
    post("/tools/{tool:int}/examples", add_example),
    post("/tools/{tool:int}/examples/{example:int}/remove", remove_example),
    post("/tools/{tool:int}/examples/{example:int}/approve", approve_example),
    get("/missed", show_missed_search, write=True),
    post("/missed", answer_missed_search),
)
