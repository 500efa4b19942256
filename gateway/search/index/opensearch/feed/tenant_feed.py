"""Writes what has changed in one tenant's catalogue into one index: at least once, in order, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import OpenSearchError
from gateway.search.index.opensearch.client import OpenSearchClient
from gateway.search.index.opensearch.documents import ToolDocument, document_id
from gateway.search.index.opensearch.feed.bulk_writer import BulkOperation, BulkWriter
from gateway.search.index.opensearch.feed.feed_state import FeedState

BATCH_SIZE = 1_000
"""So many tools are written at once: what changed meanwhile waits for one batch."""

# Between two versions of the catalogue there is room for what somebody else does to a document, and for mending that.
_ROOM = 1_024


class TenantFeed:
    """Of one index. Every method raises DatabaseError and OpenSearchError."""

    def __init__(
        self, database: Database, client: OpenSearchClient, installation: str, space: StoredSpace, index: str
    ) -> None:
        self._database = database
        self._installation = installation
        self._space = space
        self._writer = BulkWriter(client, index)
        self.written = 0
        """How many documents were written or taken out."""
        self.refusals: dict[int, OpenSearchError] = {}
        """Why the cluster does not take a document of a tenant, until all of the tenant's are found to be there."""

    async def follow(self, tenant_id: int, state: FeedState) -> FeedState | None:
        """Write a batch of what changed since `state`, and return what that is then, under way where there is more;
        None where there is no such tenant.

        With each batch it is kept how far that is, so that whoever takes over goes on there.
        """
        row = await self._database.fetchrow("feed_state", tenant_id)
        if row is None:
            return None
        state = state.begin(row["catalogue_version"], row["horizon"])
        async with self._database.snapshot() as snapshot:
            version = await snapshot.fetchval("catalogue_version", tenant_id)
            rows = await self._changed(snapshot, tenant_id, state)
        if version is None:
            return None
        is_last = len(rows) < BATCH_SIZE
        state = state.done() if is_last else replace(state, after=rows[-1]["id"])
        version *= _ROOM
        # A large catalogue is written between other work.
        operations = await asyncio.to_thread(self._operations, tenant_id, version, rows)
        operations.append(state.operation(self._installation, tenant_id, version))
        await self._write(tenant_id, operations)
        return state

    async def write(self, tenant_id: int, tool_ids: Sequence[int], removed: Sequence[int]) -> None:
        """Mend: write these tools as they are, and take those that are `removed` out, unless they are there by now.

        It takes the place of what somebody else has written in the meantime, and not of what the catalogue is later.
        """
        wanted = sorted({*tool_ids, *removed})
        for start in range(0, len(wanted), BATCH_SIZE):
            batch = wanted[start : start + BATCH_SIZE]
            async with self._database.snapshot() as snapshot:
                version = await snapshot.fetchval("catalogue_version", tenant_id)
                rows = await snapshot.fetch(
                    "feed_tools_by_id", tenant_id, batch, space=self._space.id, dimensions=self._space.space.dimensions
                )
            if version is None:
                return
            version = version * _ROOM + _ROOM - 1
            operations = await asyncio.to_thread(self._operations, tenant_id, version, rows)
            gone = set(batch) - {row["id"] for row in rows}
            operations += [_removal(tenant_id, tool_id, version) for tool_id in sorted(gone)]
            await self._write(tenant_id, operations)

    async def _write(self, tenant_id: int, operations: Sequence[BulkOperation]) -> None:
        result = await self._writer.write(operations)
        self.written += result.written
        if result.refusal is not None:
            self.refusals[tenant_id] = result.refusal

    async def _changed(self, snapshot: DatabaseConnection, tenant_id: int, state: FeedState) -> list[Row]:
        return await snapshot.fetch(
            "feed_tools",
            tenant_id,
            state.after,
            BATCH_SIZE,
            state.horizon,
            space=self._space.id,
            dimensions=self._space.space.dimensions,
        )

    def _operations(self, tenant_id: int, version: int, rows: Sequence[Row]) -> list[BulkOperation]:
        operations = []
        for row in rows:
            if row["removed"]:
                operations.append(_removal(tenant_id, row["id"], version))
                continue
            document = ToolDocument.of(row, self._installation, tenant_id, version)
            operations.append(BulkOperation(document.id, str(tenant_id), version, document.body()))
        return operations


def _removal(tenant_id: int, tool_id: int, version: int) -> BulkOperation:
    return BulkOperation(document_id(tenant_id, tool_id), str(tenant_id), version, None)
