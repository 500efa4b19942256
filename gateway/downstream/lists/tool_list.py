"""tools/list: the gateway's own tools and those that are listed to a caller, serialized once for each set of roles."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gateway.access.caller import Caller
from gateway.catalog.overrides.profile_overrides import ProfileOverrides
from gateway.catalog.tool_override import ToolOverride
from gateway.database.connection import Row
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.downstream.lists.app_resources import AppResources, qualify_app_uris
from gateway.downstream.lists.gateway_tools import READ_RESULT_DEFINITION, GatewayTools
from gateway.downstream.pagination import PagedList
from gateway.downstream.serialized_result import SerializedResult
from gateway.json_codec import encode

_MAXIMUM_LISTS = 500


class ToolList:
    """Builds and keeps tool lists. What two callers with the same roles are shown is the same."""

    def __init__(
        self,
        database: Database,
        notices: Notices,
        gateway_tools: GatewayTools,
        app_resources: AppResources,
        overrides: ProfileOverrides,
        *,
        path_names: bool,
        page_size: int,
        has_cut_results: Callable[[Caller], bool],
    ) -> None:
        """`path_names` says that tools are named `server/tool`. `has_cut_results` says whose results can be read on in,
        which takes a tool that nobody else is listed.
        """
        self._database = database
        self._gateway_tools = gateway_tools
        self._app_resources = app_resources
        self._overrides = overrides
        self._path_names = path_names
        self._page_size = page_size
        self._has_cut_results = has_cut_results
        self._by_roles: NotifiedCache[tuple[int, ...], PagedList] = NotifiedCache(notices, _MAXIMUM_LISTS)

    async def page(self, caller: Caller, cursor: object) -> SerializedResult:
        """One page. Raises MCPError for a cursor that is none of this list."""
        page = (await self.pages(caller.tenant_id, caller.role_ids)).page(cursor)
        if cursor is not None or not self._has_cut_results(caller):
            return page
        tools = b"[%s,%s" % (encode(READ_RESULT_DEFINITION), page.members["tools"][1:])
        return SerializedResult({**page.members, "tools": tools})

    async def pages(self, tenant_id: int, role_ids: tuple[int, ...]) -> PagedList:
        """The whole list for these roles."""
        return await self._by_roles.get(tenant_id, role_ids, lambda: self._build(tenant_id, role_ids))

    async def _build(self, tenant_id: int, role_ids: tuple[int, ...]) -> PagedList:
        tools = await self._gateway_tools.definitions(tenant_id, role_ids)
        rows = await self._database.fetch_catalogue("listed_tools", tenant_id, list(role_ids))
        shared_uris = await self._app_resources.shared_uris(tenant_id) if rows else {}
        overrides = await self._overrides.of_roles(tenant_id, role_ids) if rows else {}
        tools += [self._definition(row, shared_uris, overrides.get(row["id"], ToolOverride())) for row in rows]
        return PagedList("tools", "name", tools, self._page_size)

    def _definition(self, row: Row, shared_uris: dict[str, int], override: ToolOverride) -> dict[str, Any]:
        by_path = self._path_names and not row["is_renamed"]
        name = override.name or (f"{row['server_name']}/{row['name']}" if by_path else row["exposed_name"])
        definition = {**override.apply_to(json.loads(row["definition"])), "name": name}
        return qualify_app_uris(definition, row["server_id"], row["server_slug"], shared_uris)
