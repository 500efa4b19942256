"""Tools switched off and on, and what admins say of them in place of what servers say."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.tools.override_views import OverrideView
from gateway.admin.services.tools.overrides import OverrideFilter, OverrideInput


@operation("POST", "/tools/{tool_id}/disable")
async def disable_tool(context: RestContext, tool_id: int) -> None:
    """Switch a tool off: it is neither listed nor found, and a call says that it is off."""
    await context.services.overrides.set_enabled(context.tenant.id, tool_id, enabled=False)


@operation("POST", "/tools/{tool_id}/enable")
async def enable_tool(context: RestContext, tool_id: int) -> None:
    """Switch a tool on again; its rules hold as before."""
    await context.services.overrides.set_enabled(context.tenant.id, tool_id, enabled=True)


@operation("GET", "/tools/{tool_id}/overrides")
async def list_overrides(context: RestContext, tool_id: int) -> tuple[OverrideView, ...]:
    """List what is overridden of a tool, everywhere and at profiles, and what the server has changed since."""
    return await context.services.overrides.list(context.tenant.id, tool_id)


@operation("PUT", "/tools/{tool_id}/overrides")
async def set_override(context: RestContext, tool_id: int, body: OverrideInput) -> tuple[OverrideView, ...]:
    """Call and describe a tool otherwise than its server does, everywhere or at a profile; clients see it at once."""
    return await context.services.overrides.set(context.tenant.id, tool_id, body)


@operation("DELETE", "/tools/{tool_id}/overrides")
async def remove_override(context: RestContext, tool_id: int, query: OverrideFilter) -> None:
    """Take an override away: what the server says holds again."""
    await context.services.overrides.remove(context.tenant.id, tool_id, query.profile_id)


OPERATIONS = (disable_tool, enable_tool, list_overrides, set_override, remove_override)
