"""The audit log: what was done, called, searched and refused."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response, StreamingResponse

from gateway.admin.request_input import parse_form
from gateway.admin.services.audit import AuditFilter, AuditPage, ExportFilter
from gateway.admin.web.export import attachment_headers
from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.errors import InvalidInputError

_FILTER_FIELDS = {"q": "text", "action": "action", "outcome": "outcome", "after": "cursor"}
_ACTIONS = (
    ("", "everything"),
    ("tool.call", "calls of tools"),
    ("tool.search", "searches"),
    ("server", "servers"),
    ("role", "roles and rules"),
    ("key", "keys"),
    ("admin", "admins"),
)
_OUTCOMES = ("ok", "started", "denied", "unknown", "failed", "tool error", "limited", "invalid")


async def list_audit(context: PageContext) -> Response:
    """A page of the audit log, newest first."""
    filters = {name: context.query(name) for name in _FILTER_FIELDS}
    errors: Mapping[str, str] = {}
    try:
        query = parse_form(AuditFilter, {_FILTER_FIELDS[name]: value for name, value in filters.items() if value})
        page = await context.services.audit.list(context.tenant.id, query)
    except InvalidInputError as error:
        errors, page = context.rejection(error).errors, AuditPage((), None)
    template = "audit_rows.html" if context.is_htmx else "audit.html"
    return context.render(template, page=page, filters=filters, errors=errors, actions=_ACTIONS, outcomes=_OUTCOMES)


async def export_audit(context: PageContext) -> Response:
    """The whole audit log of the tenant as a file."""
    query = parse_form(ExportFilter, {"format": context.query("format", "jsonl")})
    return StreamingResponse(
        context.services.audit.export(context.tenant.id, query),
        media_type="text/csv" if query.format == "csv" else "application/jsonl",
        headers=attachment_headers(f"audit-{context.tenant.slug}", query.format),
    )


PAGES = (get("/audit", list_audit), get("/audit/export", export_audit))
