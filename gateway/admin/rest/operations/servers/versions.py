"""Versions of a server's tools, and what happens with what changes."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.servers.review import Approved, ChangePolicy
from gateway.admin.services.servers.syncs import SyncOutcome
from gateway.admin.services.servers.versions import Comparison, ComparisonFilter, VersionFilter, VersionPage


@operation("GET", "/servers/{server_id}/versions")
async def list_server_versions(context: RestContext, server_id: int, query: VersionFilter) -> VersionPage:
    """List what syncs changed at a server, newest first."""
    return await context.services.versions.list(context.tenant.id, server_id, query)


@operation("GET", "/servers/{server_id}/versions/compare")
async def compare_server_versions(context: RestContext, server_id: int, query: ComparisonFilter) -> Comparison:
    """Show how two versions of a server differ, field by field."""
    return await context.services.versions.compare(context.tenant.id, server_id, query)


@operation("POST", "/servers/{server_id}/versions/{version}/restore")
async def restore_server_version(context: RestContext, server_id: int, version: int) -> SyncOutcome:
    """Go back to a version, with its vectors and rules, and stay with it."""
    return await context.services.versions.restore(context.tenant.id, server_id, version)


@operation("POST", "/servers/{server_id}/unpin")
async def unpin_server(context: RestContext, server_id: int) -> None:
    """Offer what the server lists from its next sync on."""
    await context.services.versions.unpin(context.tenant.id, server_id)


@operation("PUT", "/servers/{server_id}/policy")
async def set_server_policy(context: RestContext, server_id: int, body: ChangePolicy) -> None:
    """Say what happens when a tool of a server is not as it was approved."""
    await context.services.review.set_policy(context.tenant.id, server_id, body)


@operation("POST", "/servers/{server_id}/approve")
async def approve_server_tools(context: RestContext, server_id: int) -> Approved:
    """Approve every tool of a server that waits, as it is now."""
    return await context.services.review.approve_all(context.tenant.id, server_id)


OPERATIONS = (
    list_server_versions,
    compare_server_versions,
    restore_server_version,
    unpin_server,
    set_server_policy,
    approve_server_tools,
)
