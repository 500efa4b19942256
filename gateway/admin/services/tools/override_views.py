"""Overrides of a tool, as people are shown them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.catalog.overrides.stored_overrides import StoredOverride, list_overrides
from gateway.database.pool import Database


@dataclass(frozen=True, slots=True)
class UpstreamChange:
    """What the server says of an overridden field, or of the parameter of that name, since it was overridden."""

    field: str
    before: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class OverrideView:
    """An override, everywhere or at a profile; `upstream_changes` are what the server says otherwise by now."""

    profile_id: int | None
    profile: str | None
    name: str | None
    title: str | None
    description: str | None
    category: str | None
    parameters: Mapping[str, str]
    upstream_changes: tuple[UpstreamChange, ...]


async def override_views(database: Database, tenant_id: int, tool_id: int) -> tuple[OverrideView, ...]:
    """The overrides of a tool, that of the whole tenant first. Raises NotFoundError."""
    return tuple(_view(stored) for stored in await list_overrides(database, tenant_id, tool_id))


def _view(stored: StoredOverride) -> OverrideView:
    override = stored.override
    return OverrideView(
        stored.profile_id,
        stored.profile,
        override.name,
        override.title,
        override.description,
        override.category,
        override.parameters,
        tuple(UpstreamChange(change.field, change.before, change.now) for change in stored.changed),
    )
