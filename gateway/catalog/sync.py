"""Sync: bringing the tools of a server into the catalogue, all of them or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from gateway.access.roles import publish
from gateway.catalog.category import category_of
from gateway.catalog.changes import Changes, StoredTool, compare
from gateway.catalog.naming import GATEWAY_TOOLS, exposed_name
from gateway.catalog.server import Servers
from gateway.catalog.text import ToolTexts, texts_of
from gateway.catalog.tool import SkippedTool, ToolDefinition, read_listing, storable
from gateway.catalog.vectors import VectorsByText, embed_texts, store_vectors
from gateway.database.pool import Database, Statements
from gateway.embedding.spaces import Spaces
from gateway.errors import ConflictError, EmbeddingError, ModelGateError
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

# Of what went wrong with a sync, this much is kept: an upstream may say anything, at any length.
_REASON_CHARACTERS = 1_000

Step = Literal["list", "compare", "embed", "store", "done"]


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """Where a sync of a server is; `done` of `total` counts texts in the step "embed" and is 0 of 0 elsewhere."""

    server: str
    step: Step
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did. `embedded` counts texts; `notice` says what could not be done yet, empty where all was."""

    server: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    skipped: tuple[SkippedTool, ...]
    embedded: int
    seconds: float
    notice: str = ""


OnProgress = Callable[[SyncProgress], None]


class Sync:
    """Syncs servers, one sync of a server at a time in all processes."""

    def __init__(self, database: Database, servers: Servers, pool: UpstreamPool, spaces: Spaces) -> None:
        self._database = database
        self._servers = servers
        self._pool = pool
        self._spaces = spaces

    async def run(self, tenant_id: int, server_id: int, on_progress: OnProgress = lambda _: None) -> SyncReport:
        """Bring one server's tools up to date.

        Raises ConflictError while another sync of it runs, UpstreamError when the server cannot be listed, and what
        the database raises. Then the catalogue is as it was, and why stands on the server's record.
        """
        started = time.monotonic()
        spec = await self._servers.spec(tenant_id, server_id)
        async with self._only_one(spec):
            try:
                on_progress(SyncProgress(spec.name, "list"))
                entries = await self._pool.list_all(spec, "tools/list", "tools")
                report = await self._bring_in(spec, entries, on_progress, started)
            except Exception as error:
                reason = error.message if isinstance(error, ModelGateError) else "an internal error; see the log"
                with contextlib.suppress(ModelGateError):
                    await self._database.execute(
                        "record_sync_failure", tenant_id, server_id, storable(reason)[:_REASON_CHARACTERS]
                    )
                raise
        on_progress(SyncProgress(spec.name, "done"))
        return report

    @contextlib.asynccontextmanager
    async def _only_one(self, spec: ServerSpec) -> AsyncIterator[None]:
        # The lock ends with the connection, and so with a process that is killed.
        async with self._database.connection_apart() as lock:
            if not await lock.fetchval("try_lock_server_sync", spec.id):
                raise ConflictError(f"{spec.name} is being synced already; wait for that to end.")
            yield

    async def _bring_in(
        self, spec: ServerSpec, entries: list[object], on_progress: OnProgress, started: float
    ) -> SyncReport:
        on_progress(SyncProgress(spec.name, "compare"))
        # A listing may be large; reading it must not hold up the calls of others.
        tools, skipped = await asyncio.to_thread(read_listing, entries)
        listed = {tool.name: tool for tool in tools}
        texts = {tool.name: texts_of(spec.name, tool) for tool in tools}

        notice = ""
        vectors: VectorsByText = {}
        space_id = 0
        try:
            space_id = (await self._spaces.wanted()).id
        except EmbeddingError as error:
            notice = _without_vectors(error)
        stored = await self._stored(spec, space_id)
        changes = compare(stored, listed)
        stale = [text for name, text in texts.items() if name not in stored or stored[name].text_hash != text.hash]
        if stale and not notice:
            try:
                vectors = await embed_texts(
                    self._spaces, stale, lambda done, total: on_progress(SyncProgress(spec.name, "embed", done, total))
                )
            except EmbeddingError as error:
                notice = _without_vectors(error)

        on_progress(SyncProgress(spec.name, "store"))
        async with self._database.transaction() as transaction:
            ids = await self._store_tools(transaction, spec, changes, stored, texts)
            if vectors:
                hashes = {text.hash for text in stale}
                by_tool = {ids[name]: text for name, text in texts.items() if text.hash in hashes}
                await store_vectors(transaction, spec.tenant_id, space_id, by_tool, vectors)
            info = self._pool.session_info(spec)
            able = await transaction.fetchval(
                "record_sync",
                spec.tenant_id,
                spec.id,
                [asdict(tool) for tool in skipped],
                info and info.instructions and storable(info.instructions),
                info and storable(info.server_info),
                info and info.protocol_version,
                info and info.capabilities,
            )
            if changes or vectors or able:
                await publish(transaction, spec.tenant_id, server_id=spec.id)
        return SyncReport(
            server=spec.name,
            added=tuple(tool.name for tool in changes.added) + tuple(tool.name for _, tool in changes.returned),
            changed=tuple(tool.name for _, tool in changes.changed),
            removed=tuple(tool.name for tool in changes.removed),
            unchanged=len(listed) - len(changes.added) - len(changes.returned) - len(changes.changed),
            skipped=tuple(skipped),
            embedded=len(vectors),
            seconds=time.monotonic() - started,
            notice=notice,
        )

    async def _stored(self, spec: ServerSpec, space_id: int) -> dict[str, StoredTool]:
        rows = await self._database.fetch("stored_tools", spec.tenant_id, spec.id, space_id)
        return {
            row["name"]: StoredTool(row["id"], row["name"], row["content_hash"], row["removed"], row["text_hash"])
            for row in rows
        }

    async def _store_tools(
        self,
        transaction: Statements,
        spec: ServerSpec,
        changes: Changes,
        stored: Mapping[str, StoredTool],
        texts: Mapping[str, ToolTexts],
    ) -> dict[str, int]:
        """Write tools, terms and version; returns the id of every tool by name."""
        ids = {name: tool.id for name, tool in stored.items()}
        if not changes:
            return ids
        ids.update(await self._insert(transaction, spec, changes.added))
        written = [*changes.returned, *changes.changed]
        for tool_id, tool in written:
            await transaction.execute(
                "update_tool", spec.tenant_id, tool_id, _category(spec, tool), tool.json, tool.content_hash
            )
        gone = [tool.id for tool in changes.removed]
        await transaction.execute("hide_tools", spec.tenant_id, gone)
        fresh = [tool.name for tool in changes.added] + [tool.name for _, tool in written]
        fresh_ids = [ids[name] for name in fresh]
        await transaction.execute("delete_terms", spec.tenant_id, [*fresh_ids, *gone])
        await transaction.execute("insert_terms", spec.tenant_id, fresh_ids, [texts[name].lexical for name in fresh])
        await transaction.execute("count_terms", spec.tenant_id, fresh_ids)
        await transaction.execute(
            "drop_stale_embeddings", spec.tenant_id, fresh_ids, [texts[name].hash for name in fresh]
        )
        await transaction.fetchval(
            "insert_server_version",
            spec.tenant_id,
            spec.id,
            fresh[: len(changes.added)] + [tool.name for _, tool in changes.returned],
            [tool.name for tool in changes.removed],
            [tool.name for _, tool in changes.changed],
        )
        return ids

    async def _insert(
        self, transaction: Statements, spec: ServerSpec, added: tuple[ToolDefinition, ...]
    ) -> dict[str, int]:
        if not added:
            return {}
        await transaction.execute("lock_tenant", spec.tenant_id)
        taken = {row["exposed_name"] for row in await transaction.fetch("exposed_names", spec.tenant_id)}
        taken.update(GATEWAY_TOOLS)
        ids = {}
        for tool in added:
            name = exposed_name(spec.slug, tool.name, taken, spec.prefix)
            taken.add(name)
            ids[tool.name] = await transaction.fetchval(
                "insert_tool",
                spec.tenant_id,
                spec.id,
                tool.name,
                name,
                _category(spec, tool),
                tool.json,
                tool.content_hash,
            )
        return ids


def _category(spec: ServerSpec, tool: ToolDefinition) -> str:
    return category_of(spec.name, tool.name, tool.description)


def _without_vectors(error: EmbeddingError) -> str:
    return f"Stored without vectors, which follow as soon as the embedder answers: {error.message}"
