"""What clients at a profile's endpoint are told of tools in place of what everybody else is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.access.caller import Caller
from gateway.catalog.tool_override import ToolOverride
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database

_MAX_PROFILES = 500


class ProfileOverrides:
    """The overrides of profiles, kept until the catalogue changes."""

    def __init__(self, database: Database, notices: Notices) -> None:
        self._database = database
        self._kept: NotifiedCache[tuple[int, ...], Mapping[int, ToolOverride]] = NotifiedCache(notices, _MAX_PROFILES)

    async def of(self, caller: Caller) -> Mapping[int, ToolOverride]:
        """What holds for this caller, by tool id; nothing where they come in at no profile. Raises DatabaseError."""
        return {} if caller.profile is None else await self.of_roles(caller.tenant_id, caller.role_ids)

    async def of_roles(self, tenant_id: int, role_ids: tuple[int, ...]) -> Mapping[int, ToolOverride]:
        """What holds for callers with these roles, a profile among them. Raises DatabaseError."""

        async def read() -> Mapping[int, ToolOverride]:
            rows = await self._database.fetch("profile_overrides", tenant_id, list(role_ids))
            return {row["tool_id"]: ToolOverride.of(row) for row in rows}

        return await self._kept.get(tenant_id, role_ids, read)


def apply_to_schema(override: ToolOverride, input_schema_json: str) -> str:
    """The JSON text of a tool's schema with the descriptions of the override."""
    if not override.parameters:
        return input_schema_json
    schema: Any = json.loads(input_schema_json)
    return json.dumps(override.describe_parameters(schema), ensure_ascii=False, separators=(",", ":"))
