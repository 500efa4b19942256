"""The overrides of a tool, with what its server has changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.catalog.tool import ToolDefinition
from gateway.catalog.tool_override import ToolOverride, basis_of
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class ChangedField:
    """What the server says of an overridden field since it was overridden: `before` then, `now` now."""

    field: str
    before: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class StoredOverride:
    """An override, at the profile `profile_id` or, where that is None, everywhere in the tenant.

    `changed` are the overridden fields of which the server says something else by now.
    """

    profile_id: int | None
    profile: str | None
    override: ToolOverride
    changed: tuple[ChangedField, ...]


@dataclass(frozen=True, slots=True)
class ToolBasis:
    """What stands behind the overrides of a tool: what it is where nothing is overridden."""

    name: str
    category: str
    tool: ToolDefinition

    @classmethod
    def of(cls, row: Row) -> ToolBasis:
        """That of an `overridable_tool`."""
        tool = ToolDefinition(row["name"], row["upstream_definition"], row["content_hash"])
        return cls(row["generated_name"], row["default_category"], tool)


async def overridable_tool(database: Database, tenant_id: int, tool_id: int) -> Row:
    """The tool of that number with its basis. Raises NotFoundError."""
    row = await database.fetchrow("overridable_tool", tenant_id, tool_id)
    if row is None:
        raise NotFoundError(f"There is no tool {tool_id} in this tenant.")
    return row


async def list_overrides(database: Database, tenant_id: int, tool_id: int) -> tuple[StoredOverride, ...]:
    """All overrides of a tool, that of the whole tenant first. Raises NotFoundError."""
    basis = ToolBasis.of(await overridable_tool(database, tenant_id, tool_id))
    now = basis_of(basis.tool, basis.name, basis.category)
    rows = await database.fetch("tool_overrides", tenant_id, tool_id)
    return tuple(
        StoredOverride(
            row["profile_id"],
            row["profile"],
            ToolOverride.of(row),
            tuple(_changed_fields(ToolOverride.of(row), row["basis"], now)),
        )
        for row in rows
    )


def _changed_fields(override: ToolOverride, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[ChangedField]:
    changed = [
        ChangedField(name, then.get(name), now[name])
        for name in ("title", "description")
        if getattr(override, name) is not None and then.get(name) != now[name]
    ]
    before, after = then.get("parameters", {}), now["parameters"]
    changed += [
        ChangedField(name, before.get(name), after.get(name))
        for name in override.parameters
        if before.get(name) != after.get(name)
    ]
    return changed
