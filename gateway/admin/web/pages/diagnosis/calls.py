"""Calls and searches of clients: the last ones, and those that come in while one looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.access.keys import KeyFilter
from gateway.admin.services.calls import CallFilter, CallPage, FollowFilter
from gateway.admin.web.fragment_stream import row_stream
from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.errors import InvalidInputError

_FILTER_FIELDS = {"kind": "kind", "outcome": "outcome", "server": "server_id", "key": "key_id", "tool": "tool_id"}
_OUTCOMES = (
    ("", "any"),
    ("problem", "any problem"),
    ("ok", "ok"),
    ("tool error", "tool error"),
    ("failed", "failed"),
    ("denied", "denied"),
    ("unknown", "unknown tool"),
    ("limited", "over a limit"),
    ("invalid", "invalid arguments"),
)
_MAX_KEYS = 200
_KINDS = (("", "any"), ("call", "calls"), ("search", "searches"))


async def list_calls(context: PageContext) -> Response:
    """The last calls and searches that fit; those to come are added as long as the page is open."""
    filters = {name: context.query(name) for name in (*_FILTER_FIELDS, "after")}
    errors: Mapping[str, str] = {}
    try:
        query = parse_form(
            CallFilter, {**_fields(filters), **({"cursor": filters["after"]} if filters["after"] else {})}
        )
        page = await context.services.calls.list(context.tenant.id, query)
    except InvalidInputError as error:
        errors, page = context.rejection(error).errors, CallPage((), None)
    values: dict[str, Any] = {"page": page, "filters": filters, "errors": errors}
    if context.is_htmx:
        return context.render("calls_table.html", **values)
    tool_id = filters["tool"]
    return context.render(
        "calls.html",
        outcomes=_OUTCOMES,
        kinds=_KINDS,
        servers=await context.services.servers.names(context.tenant.id),
        keys=(await context.services.keys.page(context.tenant.id, KeyFilter(limit=_MAX_KEYS))).items,
        tool=await context.services.tools.get(context.tenant.id, int(tool_id)) if tool_id.isdecimal() else None,
        **values,
    )


async def follow_calls(context: PageContext) -> Response:
    """What comes in from now on, as rows of the table."""
    query = parse_form(FollowFilter, _fields({name: context.query(name) for name in _FILTER_FIELDS}))

    async def rows() -> AsyncIterator[str]:
        async for calls in context.services.calls.follow(context.tenant.id, query):
            yield context.render_fragment("calls_rows.html", calls=calls[::-1], is_new=True)

    return row_stream(rows())


def _fields(filters: Mapping[str, str]) -> dict[str, str]:
    return {field: filters[name] for name, field in _FILTER_FIELDS.items() if filters.get(name)}


PAGES = (get("/calls", list_calls), get("/calls/events", follow_calls))
