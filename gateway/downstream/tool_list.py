"""tools/list: the gateway's own tools and those that are listed to a caller, written once for each set of roles."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.access.caller import Caller
from gateway.database.kept import Kept
from gateway.database.notices import Notices
from gateway.database.pool import Database, Row
from gateway.downstream.apps import AppResources
from gateway.downstream.gateway_tools import GatewayTools
from gateway.downstream.serialized import Serialized

PAGE_TOOLS = 1_000
_KEPT_LISTS = 500


@dataclass(frozen=True, slots=True)
class ToolPages:
    """A whole list: its pages by the name of the last tool before them, None before the first."""

    pages: dict[str | None, Serialized]
    digest: bytes


class ToolList:
    """Writes and keeps tool lists. What two callers with the same roles are shown is the same."""

    def __init__(
        self, database: Database, notices: Notices, tools: GatewayTools, apps: AppResources, *, path_names: bool
    ) -> None:
        self._database = database
        self._tools = tools
        self._apps = apps
        self._path_names = path_names
        self._kept: Kept[tuple[int, ...], ToolPages] = Kept(notices, _KEPT_LISTS)

    async def page(self, caller: Caller, cursor: object) -> Serialized:
        """One page. Raises MCPError for a cursor that is none of this list."""
        pages = (await self.pages(caller.tenant_id, caller.role_ids)).pages
        page = pages.get(None if cursor is None else _read_cursor(cursor))
        if page is None:
            raise MCPError(code=INVALID_PARAMS, message="The cursor is not one of this list; list anew without it.")
        return page

    async def pages(self, tenant_id: int, role_ids: tuple[int, ...]) -> ToolPages:
        """The whole list for these roles."""
        return await self._kept.get(tenant_id, role_ids, lambda: self._write(tenant_id, role_ids))

    async def _write(self, tenant_id: int, role_ids: tuple[int, ...]) -> ToolPages:
        tools = await self._tools.definitions(tenant_id, role_ids)
        rows = await self._database.fetch("listed_tools", tenant_id, list(role_ids))
        shared = await self._apps.shared(tenant_id) if rows else {}
        tools += [self._definition(row, shared) for row in rows]
        pages: dict[str | None, Serialized] = {}
        digest = hashlib.sha256()
        before: str | None = None
        for start in range(0, len(tools), PAGE_TOOLS):
            part = tools[start : start + PAGE_TOOLS]
            last = part[-1]["name"]
            more = start + PAGE_TOOLS < len(tools)
            pages[before] = _page(part, _cursor(last) if more else None)
            digest.update(pages[before].text)
            before = last
        return ToolPages(pages, digest.digest())

    def _definition(self, row: Row, shared: dict[str, int]) -> dict[str, Any]:
        name = f"{row['server_name']}/{row['name']}" if self._path_names else row["exposed_name"]
        definition = {**json.loads(row["definition"]), "name": name}
        return self._apps.led_to(definition, row["server_id"], row["server_slug"], shared)


def _page(tools: Sequence[dict[str, Any]], cursor: str | None) -> Serialized:
    page: dict[str, Any] = {"tools": tools}
    if cursor is not None:
        page["nextCursor"] = cursor
    return Serialized(json.dumps(page, separators=(",", ":")).encode())


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _read_cursor(cursor: object) -> str:
    try:
        return base64.b64decode(str(cursor), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
