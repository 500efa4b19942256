"""Versions of a server: what each changed, the whole of its tools, and which one is offered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.catalog.review.definition_diff import FieldChange, diff_definitions
from gateway.catalog.tool import ToolDefinition
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.errors import NotFoundError

# Of a server that changes at every sync, older ones are of no use to anybody.
_KEPT_VERSIONS = 100


@dataclass(frozen=True, slots=True)
class ToolChange:
    """A tool that is in both versions, and the fields in which it differs."""

    name: str
    fields: tuple[FieldChange, ...]

    @property
    def breaking(self) -> bool:
        return any(field.breaking for field in self.fields)


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """What leads from one version to another. Renamed tools, (before, after), stand among added and removed too."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    changed: tuple[ToolChange, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def breaking(self) -> bool:
        """Whether a caller of the one can be broken by the other: tools removed or renamed, or changed so."""
        return bool(self.removed) or any(change.breaking for change in self.changed)


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version in a list. `changed` holds `{"name", "breaking", "fields": [{path, kind, before, after, breaking}]}`.

    `applied` is False for what a pinned server listed and was not taken over; `restores` is the version that was gone
    back to. `offered` is the version whose tools clients see.
    """

    version: int
    created_at: datetime
    added: list[str]
    removed: list[str]
    renamed: list[list[str]]
    changed: list[dict[str, Any]]
    breaking: bool
    applied: bool
    restores: int | None
    tool_count: int
    pinned: bool
    offered: bool


def compare_versions(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> VersionDifference:
    """The difference of two sets of definitions, by the upstream's own tool name."""
    added = [name for name in after if name not in before]
    removed = [name for name in before if name not in after]
    renamed = []
    left = list(added)
    for name in removed:
        twin = next((other for other in left if _nameless(before[name]) == _nameless(after[other])), None)
        if twin is not None:
            left.remove(twin)
            renamed.append((name, twin))
    changed = []
    for name in after:
        if name in before and (fields := diff_definitions(before[name], after[name])):
            changed.append(ToolChange(name, fields))
    return VersionDifference(tuple(added), tuple(removed), tuple(renamed), tuple(changed))


async def write_version(
    transaction: DatabaseConnection,
    tenant_id: int,
    server_id: int,
    tools: Sequence[ToolDefinition],
    change: VersionDifference,
    *,
    applied: bool = True,
    restores: int | None = None,
) -> int:
    """Write a new version that holds `tools`; returns its number."""
    hashes = [tool.content_hash for tool in tools]
    version: int = await transaction.fetchval(
        "write_version",
        tenant_id,
        server_id,
        list(change.added),
        list(change.removed),
        [
            {"name": tool.name, "breaking": tool.breaking, "fields": [field.to_json() for field in tool.fields]}
            for tool in change.changed
        ],
        [list(pair) for pair in change.renamed],
        change.breaking,
        applied,
        restores,
    )
    await transaction.execute("insert_definitions", tenant_id, server_id, hashes, [tool.json for tool in tools])
    await transaction.execute(
        "insert_version_tools", tenant_id, server_id, version, [tool.name for tool in tools], hashes
    )
    await transaction.execute("drop_old_versions", tenant_id, server_id, _KEPT_VERSIONS)
    await transaction.execute("drop_unused_definitions", tenant_id, server_id)
    return version


class Versions:
    """Reads the versions of servers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tools(self, tenant_id: int, server_id: int, version: int) -> list[ToolDefinition]:
        """The tools of a version as they were. Raises NotFoundError."""
        if await self._database.fetchval("version_of_server", tenant_id, server_id, version) is None:
            known = [record.version for record in await self.list(tenant_id, server_id)]
            there = f"there are {known[-1]} to {known[0]}" if known else "it has none, for it was never synced"
            raise NotFoundError(f"The server has no version {version}; {there}.")
        rows = await self._database.fetch("version_tools", tenant_id, server_id, version)
        raws = [(row["name"], json.loads(row["definition"])) for row in rows]
        return [ToolDefinition(name, raw.get("description") or "", raw) for name, raw in raws]

    async def diff(self, tenant_id: int, server_id: int, before: int, after: int) -> VersionDifference:
        """What leads from one version to another, in either direction. Raises NotFoundError."""
        one = {tool.name: tool.raw for tool in await self.tools(tenant_id, server_id, before)}
        other = {tool.name: tool.raw for tool in await self.tools(tenant_id, server_id, after)}
        return compare_versions(one, other)

    async def list(self, tenant_id: int, server_id: int) -> list[VersionRecord]:
        """All versions that are kept, newest first."""
        rows = await self._database.fetch("list_versions", tenant_id, server_id)
        offered = next((row["version"] for row in rows if row["applied"]), None)
        return [_record(row, offered) for row in rows]


def _record(row: Row, offered: int | None) -> VersionRecord:
    return VersionRecord(**row, offered=row["version"] == offered)


def _nameless(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in definition.items() if key not in ("name", "title")}
