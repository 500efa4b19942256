"""The tools of a tenant, as a scan compares others with them."""

from __future__ import annotations

from gateway.catalog.scan.finding import OtherTool
from gateway.database.pool import Database


async def load_tenant_tools(database: Database, tenant_id: int, *, but: int | None = None) -> list[OtherTool]:
    """The tools that servers of a tenant list, without those of the server `but`. Raises DatabaseError."""
    return [
        OtherTool(row["name"], row["exposed_name"], row["server_name"], row["server_slug"], row["id"], row["server_id"])
        for row in await database.fetch("tools_of_tenant", tenant_id, but)
    ]
