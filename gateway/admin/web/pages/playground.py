"""Searching as a role's client would, and seeing why."""

from __future__ import annotations

import json
import shlex
from typing import Any

from starlette.responses import Response

from gateway.admin.problem import problem_of
from gateway.admin.reading import read_form
from gateway.admin.services.playground import PlaygroundQuery
from gateway.admin.web.page import get
from gateway.admin.web.pages.tools import CATEGORIES
from gateway.admin.web.visit import PageContext, errors_of
from gateway.errors import ModelGateError

_FIELDS = {"q": "query", "role": "role_id", "category": "category", "server": "server", "n": "max_results"}


async def search(visit: PageContext) -> Response:
    """The form, and what came of it where something was asked."""
    asked = {name: visit.asked(name) for name in _FIELDS}
    values: dict[str, Any] = {"asked": asked, "answer": None, "curl": ""}
    status = 200
    if asked["q"]:
        try:
            query = read_form(PlaygroundQuery, {_FIELDS[name]: value for name, value in asked.items() if value})
            answer = await visit.actions.playground.search(visit.tenant.id, query)
            values |= {"answer": answer, "curl": curl(visit, query), "client": _laid_out(answer.client_json)}
        except ModelGateError as error:
            values["errors"], status = errors_of(error), problem_of(error).status
    if visit.by_htmx:
        return visit.page("search_answer.html", 422 if status >= 400 else 200, **values)
    return visit.page(
        "search.html",
        status,
        roles=await visit.actions.roles.list(visit.tenant.id),
        servers=await visit.actions.servers.list(visit.tenant.id),
        categories=CATEGORIES,
        **values,
    )


def curl(visit: PageContext, query: PlaygroundQuery) -> str:
    """The same search as a command; the key is the reader's to fill in."""
    given = {"query": query.query, "category": query.category, "server": query.server, "max_results": query.max_results}
    arguments = {name: value for name, value in given.items() if value is not None}
    params = {"name": "tool_search", "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    address = f"{visit.guard.base_url(visit.request)}/mcp"
    data = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl -s {address} -H 'Authorization: Bearer mg_…' -H 'Content-Type: application/json' -d {data}"


def _laid_out(text: str) -> str:
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


PAGES = (get("/search", search),)
