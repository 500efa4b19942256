"""The log of the gateway's own process."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.gateway_log import LogFilter
from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.errors import InvalidInputError

_LEVELS = (("", "any"), ("info", "info and worse"), ("warning", "warnings and errors"), ("error", "errors"))


async def show_log(context: PageContext) -> Response:
    """The last lines that fit, newest first."""
    filters = {name: context.query(name) for name in ("level", "text")}
    errors: Mapping[str, str] = {}
    try:
        query = parse_form(LogFilter, {name: value for name, value in filters.items() if value})
    except InvalidInputError as error:
        errors, query = context.rejection(error).errors, LogFilter()
    template = "log_rows.html" if context.is_htmx else "log.html"
    lines = context.services.gateway_log.list(query)
    return context.render(template, lines=lines, filters=filters, levels=_LEVELS, errors=errors)


PAGES = (get("/log", show_log, gateway_wide=True, write=True),)
