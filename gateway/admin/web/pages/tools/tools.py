"""The list of tools, filtered and page by page, and those that do the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.tools.similarity import DuplicateFilter
from gateway.admin.services.tools.tools import ToolFilter, ToolPage
from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.catalog.category import CATEGORIES
from gateway.errors import InvalidInputError

_FILTER_FIELDS = {
    "q": "text",
    "server": "server_id",
    "category": "category",
    "state": "state",
    "role": "role_id",
    "visibility": "visibility",
    "sort": "sort",
    "after": "cursor",
}


async def list_tools(context: PageContext) -> Response:
    """The tools that fit the filter, one page of them."""
    filters = {name: context.query(name) for name in _FILTER_FIELDS}
    errors: Mapping[str, str] = {}
    try:
        query = parse_form(ToolFilter, {_FILTER_FIELDS[name]: value for name, value in filters.items() if value})
        page = await context.services.tools.list(context.tenant.id, query)
    except InvalidInputError as error:
        errors, page = context.rejection(error).errors, ToolPage((), 0, None)
    values: dict[str, Any] = {"page": page, "filters": filters, "errors": errors}
    if context.is_htmx:
        return context.render("tools_rows.html", **values)
    return context.render(
        "tools.html",
        servers=await context.services.servers.names(context.tenant.id),
        roles=await context.services.roles.list(context.tenant.id),
        categories=CATEGORIES,
        **values,
    )


async def list_duplicates(context: PageContext) -> Response:
    """Tools that do the same, in groups."""
    filters = {name: context.query(name) for name in ("role", "threshold", "servers")}
    chosen = {"role_id": filters["role"], "threshold": filters["threshold"]}
    values: dict[str, Any] = {name: value for name, value in chosen.items() if value}
    errors: Mapping[str, str] = {}
    try:
        query = parse_form(DuplicateFilter, {**values, "same_server": filters["servers"] == "same"})
    except InvalidInputError as error:
        errors, query = {"": error.message}, DuplicateFilter()
    return context.render(
        "duplicates.html",
        found=await context.services.similarity.duplicates(context.tenant.id, query),
        roles=await context.services.roles.list(context.tenant.id),
        filters=filters,
        errors=errors,
    )


PAGES = (get("/tools", list_tools), get("/duplicates", list_duplicates))
