"""tools/list: the gateway's own tools and those that are listed to a caller, written once for each set of roles."""

from __future__ import annotations

import json
from typing import Any

from gateway.access.caller import Caller
from gateway.database.connection import Row
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.downstream.methods.app_resources import AppResources
from gateway.downstream.methods.gateway_tools import GatewayTools
from gateway.downstream.pagination import PagedList
from gateway.downstream.serialized import Serialized

PAGE_TOOLS = 1_000
_KEPT_LISTS = 500


class ToolList:
    """Writes and keeps tool lists. What two callers with the same roles are shown is the same."""

    def __init__(
        self, database: Database, notices: Notices, tools: GatewayTools, apps: AppResources, *, path_names: bool
    ) -> None:
        self._database = database
        self._tools = tools
        self._apps = apps
        self._path_names = path_names
        self._kept: NotifiedCache[tuple[int, ...], PagedList] = NotifiedCache(notices, _KEPT_LISTS)

    async def page(self, caller: Caller, cursor: object) -> Serialized:
        """One page. Raises MCPError for a cursor that is none of this list."""
        return (await self.pages(caller.tenant_id, caller.role_ids)).page(cursor)

    async def pages(self, tenant_id: int, role_ids: tuple[int, ...]) -> PagedList:
        """The whole list for these roles."""
        return await self._kept.get(tenant_id, role_ids, lambda: self._write(tenant_id, role_ids))

    async def _write(self, tenant_id: int, role_ids: tuple[int, ...]) -> PagedList:
        tools = await self._tools.definitions(tenant_id, role_ids)
        rows = await self._database.fetch("listed_tools", tenant_id, list(role_ids))
        shared = await self._apps.shared(tenant_id) if rows else {}
        tools += [self._definition(row, shared) for row in rows]
        return PagedList("tools", "name", tools, PAGE_TOOLS)

    def _definition(self, row: Row, shared: dict[str, int]) -> dict[str, Any]:
        name = f"{row['server_name']}/{row['name']}" if self._path_names else row["exposed_name"]
        definition = {**json.loads(row["definition"]), "name": name}
        return self._apps.led_to(definition, row["server_id"], row["server_slug"], shared)
