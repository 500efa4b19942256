"""The audit log: what was done, called, searched and refused."""

from __future__ import annotations

from starlette.responses import Response, StreamingResponse

from gateway.admin.reading import read_form
from gateway.admin.services.audit import AuditFilter, AuditPage, ExportFilter
from gateway.admin.web.export import attachment
from gateway.admin.web.page import get
from gateway.admin.web.visit import PageContext, errors_of
from gateway.errors import InvalidInputError

_FIELDS = {"q": "text", "action": "action", "outcome": "outcome", "after": "cursor"}
_ACTIONS = (
    ("", "everything"),
    ("tool.call", "calls of tools"),
    ("tool.search", "searches"),
    ("server", "servers"),
    ("role", "roles and rules"),
    ("key", "keys"),
    ("admin", "admins"),
)
_OUTCOMES = ("ok", "denied", "unknown", "failed", "tool error", "limited", "invalid")


async def list_audit(visit: PageContext) -> Response:
    """A page of the audit log, newest first."""
    asked = {name: visit.asked(name) for name in _FIELDS}
    errors: dict[str, str] = {}
    try:
        wanted = read_form(AuditFilter, {_FIELDS[name]: value for name, value in asked.items() if value})
        page = await visit.actions.audit.list(visit.tenant.id, wanted)
    except InvalidInputError as error:
        errors, page = errors_of(error), AuditPage((), None)
    template = "audit_rows.html" if visit.by_htmx else "audit.html"
    return visit.page(template, page=page, asked=asked, errors=errors, actions=_ACTIONS, outcomes=_OUTCOMES)


async def export(visit: PageContext) -> Response:
    """The whole audit log of the tenant as a file."""
    wanted = read_form(ExportFilter, {"format": visit.asked("format", "jsonl")})
    return StreamingResponse(
        visit.actions.audit.export(visit.tenant.id, wanted),
        media_type="text/csv" if wanted.format == "csv" else "application/jsonl",
        headers=attachment(f"audit-{visit.tenant.slug}", wanted.format),
    )


PAGES = (get("/audit", list_audit), get("/audit/export", export))
