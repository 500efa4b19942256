"""Who has connected which server, of those that let each person in as who they are."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.connections import PersonConnectionFilter, PersonConnectionPage


@operation("GET", "/connections")
async def list_connections(context: RestContext, query: PersonConnectionFilter) -> PersonConnectionPage:
    """List who has connected what, and nothing that is in it."""
    return await context.services.connections.page(context.tenant.id, query)


@operation("DELETE", "/connections/{person_id}/{server_id}")
async def withdraw_connection(context: RestContext, person_id: int, server_id: int) -> None:
    """End a connection: its sessions end, and its provider is told where that is possible."""
    await context.services.connections.withdraw(context.tenant.id, person_id, server_id)


OPERATIONS = (list_connections, withdraw_connection)
