"""MCP Apps: tools whose `_meta` points to a `ui://` resource, and the server that has it."""

from __future__ import annotations

from typing import Any

from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.downstream.uri import qualify_uri


class AppResources:
    """Knows which server a `ui://` address of a tool belongs to."""

    def __init__(self, database: Database, notices: Notices) -> None:
        self._database = database
        self._shared_uris: NotifiedCache[None, dict[str, int]] = NotifiedCache(notices)
        self._uris: NotifiedCache[None, frozenset[str]] = NotifiedCache(notices)

    async def shared_uris(self, tenant_id: int) -> dict[str, int]:
        """Addresses that tools of several servers point to, with the server that keeps the plain address."""

        async def read() -> dict[str, int]:
            rows = await self._database.fetch("shared_app_resources", tenant_id)
            return {row["uri"]: row["server_id"] for row in rows}

        return await self._shared_uris.get(tenant_id, None, read)

    async def server_ids(self, tenant_id: int, role_ids: tuple[int, ...], uri: str) -> list[int]:
        """The servers of which these roles can call a tool that points to `uri`, the oldest first."""

        async def read() -> frozenset[str]:
            return frozenset(row["uri"] for row in await self._database.fetch("app_resources", tenant_id))

        # Clients may ask for any address, and to go through what their roles can call takes long.
        if uri not in await self._uris.get(tenant_id, None, read):
            return []
        rows = await self._database.fetch("app_resource_servers", tenant_id, list(role_ids), uri)
        return [row["server_id"] for row in rows]


def qualify_app_uris(
    definition: dict[str, Any], server_id: int, slug: str, shared_uris: dict[str, int]
) -> dict[str, Any]:
    """`definition` with an address that leads to its own server's resource, where another server has the same."""
    meta = definition.get("_meta")
    if not shared_uris or not isinstance(meta, dict):
        return definition
    qualified = dict(meta)
    ui = meta.get("ui")
    if isinstance(ui, dict) and shared_uris.get(str(ui.get("resourceUri")), server_id) != server_id:
        qualified["ui"] = {**ui, "resourceUri": qualify_uri(slug, ui["resourceUri"])}
    flat = meta.get("ui/resourceUri")
    if isinstance(flat, str) and shared_uris.get(flat, server_id) != server_id:
        qualified["ui/resourceUri"] = qualify_uri(slug, flat)
    return {**definition, "_meta": qualified}
