"""Switching tools off and on."""

from __future__ import annotations

from gateway.access.roles import refresh_visibility
from gateway.catalog.overrides.stored_overrides import overridable_tool
from gateway.database.pool import Database
from gateway.errors import NotFoundError


async def set_tool_enabled(database: Database, tenant_id: int, tool_id: int, *, enabled: bool) -> None:
    """Switch a tool on, or off: then nobody finds or calls it. Raises NotFoundError."""
    row = await overridable_tool(database, tenant_id, tool_id)
    async with database.tenant_transaction(tenant_id) as transaction:
        await transaction.fetchrow("lock_server", tenant_id, row["server_id"])
        name = "enable_tool" if enabled else "disable_tool"
        if not await transaction.execute(name, tenant_id, tool_id):
            raise NotFoundError(f"The server no longer lists {row['name']}.")
        await refresh_visibility(transaction, tenant_id, server_id=row["server_id"])
