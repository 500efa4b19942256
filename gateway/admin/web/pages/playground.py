"""Searching as a role's client would, and seeing why."""

from __future__ import annotations

import json
import shlex
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.playground import PlaygroundQuery
from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.catalog.category import CATEGORIES
from gateway.errors import ModelGateError

_FILTER_FIELDS = {"q": "query", "role": "role_id", "category": "category", "server": "server", "n": "max_results"}


async def search_tools(context: PageContext) -> Response:
    """The form, and what came of it where something was asked."""
    filters = {name: context.query(name) for name in _FILTER_FIELDS}
    values: dict[str, Any] = {"filters": filters, "answer": None, "curl": ""}
    status = 200
    if filters["q"]:
        try:
            given = {_FILTER_FIELDS[name]: value for name, value in filters.items() if value}
            query = parse_form(PlaygroundQuery, given)
            answer = await context.services.playground.search(context.tenant.id, query)
            values |= {"answer": answer, "curl": curl(context, query), "client": _indented(answer.client_json)}
        except ModelGateError as error:
            rejection = context.rejection(error)
            values["errors"], status = rejection.errors, rejection.status
    if context.is_htmx:
        return context.render("search_answer.html", 422 if status >= 400 else 200, **values)
    return context.render(
        "search.html",
        status,
        roles=await context.services.roles.list(context.tenant.id),
        servers=await context.services.servers.names(context.tenant.id),
        categories=CATEGORIES,
        # It takes as long as some hundred searches, and is no part of an answer.
        report=await context.services.learning.report(context.tenant.id) if not filters["q"] else None,
        **values,
    )


def curl(context: PageContext, query: PlaygroundQuery) -> str:
    """The same search as a command; the key is the reader's to fill in."""
    given = {"query": query.query, "category": query.category, "server": query.server, "max_results": query.max_results}
    arguments = {name: value for name, value in given.items() if value is not None}
    params = {"name": "tool_search", "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    data = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl -s {context.mcp_url} -H 'Authorization: Bearer mg_…' -H 'Content-Type: application/json' -d {data}"


def _indented(text: str) -> str:
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


PAGES = (get("/search", search_tools),)
