"""What admins say of tools in place of what servers say, and tools that are switched off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.tools.override_views import OverrideView, override_views
from gateway.admin.services.tools.tools import Category
from gateway.catalog.overrides.stored_overrides import list_overrides
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.overrides.tool_switch import set_tool_enabled
from gateway.catalog.tool_override import ToolOverride
from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces

_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class OverrideFilter:
    """At which profile; without one everywhere in the tenant."""

    profile_id: _Id | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class OverrideInput:
    """What a tool is called and said to be from now on; null, and a parameter that is not named, is as the server says.

    `name` is the whole name that clients see. With `profile_id` it holds at that profile's endpoint alone.
    """

    name: Annotated[str, Field(max_length=64)] | None = None
    title: Annotated[str, Field(max_length=200)] | None = None
    description: Annotated[str, Field(max_length=8_000)] | None = None
    category: Category | None = None
    parameters: Mapping[str, Annotated[str, Field(max_length=2_000)]] = field(default_factory=dict)
    profile_id: _Id | None = None

    __pydantic_config__ = FORBID_EXTRA


class OverrideService:
    """Overrides of a tenant's tools; they hold for the next request of every client."""

    def __init__(self, database: Database, spaces: Spaces) -> None:
        self._database = database
        self._overrides = ToolOverrides(database, spaces)

    async def list(self, tenant_id: int, tool_id: int) -> tuple[OverrideView, ...]:
        """The overrides of a tool, that of the whole tenant first. Raises NotFoundError."""
        return await override_views(self._database, tenant_id, tool_id)

    async def set(self, tenant_id: int, tool_id: int, wanted: OverrideInput) -> tuple[OverrideView, ...]:
        """Override, in place of what was overridden there; raises as `ToolOverrides.set`."""
        override = ToolOverride(wanted.name, wanted.title, wanted.description, wanted.category, wanted.parameters)
        await self._overrides.set(tenant_id, tool_id, override, wanted.profile_id)
        return await self.list(tenant_id, tool_id)

    async def set_category(self, tenant_id: int, tool_id: int, category: Category) -> None:
        """Say the category of a tool, and leave what else is overridden; raises as `ToolOverrides.set`."""
        stored = [
            each.override
            for each in await list_overrides(self._database, tenant_id, tool_id)
            if each.profile_id is None
        ]
        now = stored[0] if stored else ToolOverride()
        override = ToolOverride(now.name, now.title, now.description, category, now.parameters)
        await self._overrides.set(tenant_id, tool_id, override)

    async def remove(self, tenant_id: int, tool_id: int, profile_id: int | None = None) -> None:
        """What the server says holds again, everywhere or at a profile. Raises NotFoundError."""
        await self._overrides.remove(tenant_id, tool_id, profile_id)

    async def set_enabled(self, tenant_id: int, tool_id: int, *, enabled: bool) -> None:
        """Switch a tool on or off. Raises NotFoundError."""
        await set_tool_enabled(self._database, tenant_id, tool_id, enabled=enabled)
