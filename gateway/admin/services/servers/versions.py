"""What syncs have changed at a server, and how versions differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue

from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.servers.review import FieldView, build_field_view
from gateway.admin.services.servers.syncs import SyncOutcome, build_sync_outcome
from gateway.catalog.review.versions import VersionRecord, Versions
from gateway.catalog.servers.server import Servers
from gateway.catalog.sync.server_sync import ServerSync
from gateway.database.pool import Database
from gateway.errors import NotFoundError

_LARGEST_VERSION = 2**31 - 1
_Version = Annotated[int, Field(ge=1, le=_LARGEST_VERSION)]


@dataclass(frozen=True, slots=True)
class VersionFilter:
    """Which page of versions; `cursor` is the `next` of the page before."""

    cursor: _Version | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """One version: what changed, by the upstream's names, and whether that breaks callers of the version before.

    `changed` holds name, breaking and fields; `renamed` are pairs of names that stand among added and removed too.
    `applied` is False for what a pinned server listed and was not taken over, `restores` the version gone back to,
    `offered` what clients see.
    """

    version: int
    created_at: datetime
    added: tuple[JsonValue, ...]
    removed: tuple[JsonValue, ...]
    renamed: tuple[JsonValue, ...]
    changed: tuple[JsonValue, ...]
    breaking: bool
    applied: bool
    restores: int | None
    tools: int
    pinned: bool
    offered: bool


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Versions, newest first; `next` is the cursor of the next page, None on the last."""

    items: tuple[ServerVersion, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class ComparisonFilter:
    """The two versions, in either order of time."""

    before: _Version
    after: _Version

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ChangedTool:
    """A tool that is in both versions, and the fields in which it differs."""

    name: str
    breaking: bool
    fields: tuple[FieldView, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What leads from one version to another. Renamed tools, as (before, after), stand among added and removed too."""

    before: int
    after: int
    breaking: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    changed: tuple[ChangedTool, ...]


class VersionService:
    """Versions of servers."""

    def __init__(self, database: Database, servers: Servers, sync: ServerSync) -> None:
        self._servers = servers
        self._sync = sync
        self._versions = Versions(database)

    async def list(self, tenant_id: int, server_id: int, query: VersionFilter) -> VersionPage:
        """A page of versions. Raises NotFoundError for a server that is not there."""
        await self._servers.spec(tenant_id, server_id)
        records = await self._versions.list(tenant_id, server_id)
        rest = [record for record in records if query.cursor is None or record.version < query.cursor]
        items = tuple(_server_version(record) for record in rest[: query.limit])
        return VersionPage(items, items[-1].version if len(rest) > query.limit else None)

    async def compare(self, tenant_id: int, server_id: int, query: ComparisonFilter) -> Comparison:
        """How two versions differ. Raises NotFoundError for a server or version that is not there."""
        await self._servers.spec(tenant_id, server_id)
        difference = await self._versions.diff(tenant_id, server_id, query.before, query.after)
        return Comparison(
            query.before,
            query.after,
            difference.breaking,
            difference.added_names,
            difference.removed_names,
            difference.renamed,
            tuple(
                ChangedTool(tool.name, tool.breaking, tuple(build_field_view(field) for field in tool.fields))
                for tool in difference.changed
            ),
        )

    async def restore(self, tenant_id: int, server_id: int, version: int) -> SyncOutcome:
        """Go back to a version, with its vectors and rules; the server is pinned to it.

        Raises NotFoundError, and ConflictError while a sync runs.
        """
        if version > _LARGEST_VERSION:
            raise NotFoundError(f"The server has no version {version}.")
        return build_sync_outcome(await self._sync.restore(tenant_id, server_id, version))

    async def unpin(self, tenant_id: int, server_id: int) -> None:
        """Offer what the server lists from its next sync on. Raises NotFoundError, ConflictError while a sync runs."""
        await self._sync.unpin(tenant_id, server_id)


def _server_version(record: VersionRecord) -> ServerVersion:
    return ServerVersion(
        version=record.version,
        created_at=record.created_at,
        added=tuple(record.added),
        removed=tuple(record.removed),
        renamed=tuple(list(pair) for pair in record.renamed),
        changed=tuple(record.changed),
        breaking=record.breaking,
        applied=record.applied,
        restores=record.restores,
        tools=record.tool_count,
        pinned=record.pinned,
        offered=record.offered,
    )
