"""The audit log, use of tools, and the map."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.audit import GATEWAY_TENANT, AuditFilter, AuditPage, ExportFilter
from gateway.admin.services.tools.tool_map import MapFilter, ToolMap
from gateway.admin.services.usage import CallsFilter, ToolCallRecord, Usage, UsageFilter

_JSON_LINES = "application/jsonl"
_CSV = "text/csv"


@operation("GET", "/audit")
async def list_audit(context: RestContext, query: AuditFilter) -> AuditPage:
    """List what was done in the tenant, newest first: calls, searches, denials and changes."""
    return await context.services.audit.list(context.tenant.id, query)


@operation("GET", "/audit/export", returns=str, media=(_JSON_LINES, _CSV))
async def export_audit(context: RestContext, query: ExportFilter) -> Response:
    """Export the audit log of the tenant as JSON lines or CSV, oldest first."""
    return export_response(context.services.audit.export(context.tenant.id, query), query)


@operation("GET", "/audit/gateway", gateway_wide=True)
async def list_gateway_audit(context: RestContext, query: AuditFilter) -> AuditPage:
    """List what concerns the gateway as a whole: sign-ins, admins, tokens."""
    return await context.services.audit.list(GATEWAY_TENANT, query)


@operation("GET", "/audit/gateway/export", gateway_wide=True, returns=str, media=(_JSON_LINES, _CSV))
async def export_gateway_audit(context: RestContext, query: ExportFilter) -> Response:
    """Export the audit log of the gateway as a whole."""
    return export_response(context.services.audit.export(GATEWAY_TENANT, query), query)


@operation("GET", "/usage")
async def get_usage(context: RestContext, query: UsageFilter) -> Usage:
    """Show calls, searches, times, what was called most, what nobody uses, and what people miss."""
    return await context.services.usage.get(context.tenant.id, query)


@operation("GET", "/tools/{tool_id}/calls")
async def list_tool_calls(context: RestContext, tool_id: int, query: CallsFilter) -> tuple[ToolCallRecord, ...]:
    """List the last calls of a tool."""
    return await context.services.usage.list_tool_calls(context.tenant.id, tool_id, query)


@operation("GET", "/map")
async def get_map(context: RestContext, query: MapFilter) -> ToolMap:
    """Draw all tools as points, near ones near, and a query among them."""
    return await context.services.tool_map.get(context.tenant.id, context.tenant.catalogue_version, query)


def export_response(lines: AsyncIterator[str], query: ExportFilter) -> StreamingResponse:
    """An export as a file to keep."""
    media = _CSV if query.format == "csv" else _JSON_LINES
    headers = {
        "Content-Disposition": f'attachment; filename="modelgate-audit.{query.format}"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(lines, headers=headers, media_type=media)


OPERATIONS = (
    list_audit,
    export_audit,
    list_gateway_audit,
    export_gateway_audit,
    get_usage,
    list_tool_calls,
    get_map,
)
