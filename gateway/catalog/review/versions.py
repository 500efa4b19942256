"""Versions of a server: what each changed, the whole of its tools, and which one is offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.catalog.review.tool_list_diff import ToolListDiff, diff_tool_lists
from gateway.catalog.tool import ToolDefinition, stored_definition
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.errors import NotFoundError

# Of a server that changes at every sync, older ones are of no use to anybody.
_KEPT_VERSIONS = 100


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


async def write_version(
    transaction: DatabaseConnection,
    tenant_id: int,
    server_id: int,
    tools: Sequence[ToolDefinition],
    diff: ToolListDiff,
    *,
    applied: bool = True,
    restores: int | None = None,
) -> int:
    """Write a new version that holds `tools` and differs by `diff` from the one before; returns its number."""
    hashes = [tool.content_hash for tool in tools]
    version: int = await transaction.fetchval(
        "insert_version",
        tenant_id,
        server_id,
        list(diff.added_names),
        list(diff.removed_names),
        [
            {"name": tool.name, "breaking": tool.breaking, "fields": [field.to_json() for field in tool.fields]}
            for tool in diff.changed
        ],
        [list(pair) for pair in diff.renamed],
        diff.breaking,
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


async def load_version_tools(
    statements: Database | DatabaseConnection, tenant_id: int, server_id: int, version: int
) -> list[ToolDefinition]:
    """The tools of a version as they were; none where there is no such version."""
    rows = await statements.fetch("version_tools", tenant_id, server_id, version)
    return [stored_definition(row) for row in rows]


class Versions:
    """Reads the versions of servers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load_tools(self, tenant_id: int, server_id: int, version: int) -> list[ToolDefinition]:
        """The tools of a version as they were. Raises NotFoundError."""
        if await self._database.fetchval("version_exists", tenant_id, server_id, version) is None:
            known = [record.version for record in await self.list(tenant_id, server_id)]
            known_versions = f"there are {known[-1]} to {known[0]}" if known else "it has none, for it was never synced"
            raise NotFoundError(f"The server has no version {version}; {known_versions}.")
        return await load_version_tools(self._database, tenant_id, server_id, version)

    async def diff(self, tenant_id: int, server_id: int, before: int, after: int) -> ToolListDiff:
        """What leads from one version to another, in either direction. Raises NotFoundError."""
        return diff_tool_lists(
            await self.load_tools(tenant_id, server_id, before), await self.load_tools(tenant_id, server_id, after)
        )

    async def list(self, tenant_id: int, server_id: int) -> list[VersionRecord]:
        """All versions that are kept, newest first."""
        rows = await self._database.fetch("list_versions", tenant_id, server_id)
        offered = next((row["version"] for row in rows if row["applied"]), None)
        return [_record(row, offered) for row in rows]


def _record(row: Row, offered: int | None) -> VersionRecord:
    return VersionRecord(**row, offered=row["version"] == offered)
