"""The list of tools, filtered and page by page."""

from __future__ import annotations

from typing import Any, get_args

from starlette.responses import Response

from gateway.admin.reading import read_form
from gateway.admin.services.tools import Category, ToolFilter, ToolPage
from gateway.admin.web.page import get
from gateway.admin.web.visit import PageContext, errors_of
from gateway.errors import InvalidInputError

CATEGORIES: tuple[str, ...] = get_args(Category)

_FIELDS = {
    "q": "text",
    "server": "server_id",
    "category": "category",
    "state": "state",
    "role": "role_id",
    "visibility": "visibility",
    "after": "cursor",
}


async def list_tools(visit: PageContext) -> Response:
    """The tools that fit the filter, one page of them."""
    asked = {name: visit.asked(name) for name in _FIELDS}
    errors: dict[str, str] = {}
    try:
        wanted = read_form(ToolFilter, {_FIELDS[name]: value for name, value in asked.items() if value})
        page = await visit.actions.tools.list(visit.tenant.id, wanted)
    except InvalidInputError as error:
        errors, page = errors_of(error), ToolPage((), 0, None)
    found: dict[str, Any] = {"page": page, "asked": asked, "errors": errors}
    if visit.by_htmx:
        return visit.page("tools_rows.html", **found)
    return visit.page(
        "tools.html",
        servers=await visit.actions.servers.list(visit.tenant.id),
        roles=await visit.actions.roles.list(visit.tenant.id),
        categories=CATEGORIES,
        **found,
    )


PAGES = (get("/tools", list_tools),)
