"""Sync: bringing the tools of a server into the catalogue, all of them or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mcp_types import METHOD_NOT_FOUND

from gateway.access.connections.caller_requests import CallerRequests
from gateway.catalog.review.offerings import Offering, Offerings
from gateway.catalog.review.versions import Versions
from gateway.catalog.servers.server import Servers
from gateway.catalog.sync.catalog_update import CatalogUpdate
from gateway.catalog.sync.sync_result import ServerReport, SyncResult
from gateway.catalog.tool import SkippedTool, ToolDefinition, make_storable, parse_listing
from gateway.database.background import in_background
from gateway.database.pool import Database
from gateway.errors import ConflictError, ModelGateError, UpstreamReplyError
from gateway.telemetry.metrics import Metrics
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

# Of what went wrong with a sync, this much is kept: an upstream may say anything, at any length.
_MAX_REASON_CHARACTERS = 1_000

# How often a starting server is looked at: what it says while it is installed is for people.
_STARTUP_SECONDS = 1.0

Step = Literal["start", "list", "compare", "embed", "store", "done"]


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """Where a sync of a server is; `done` of `total` counts texts in the step "embed" and is 0 of 0 elsewhere.

    `detail` is what the process of the server says in the step "start", empty where it says nothing.
    """

    server: str
    step: Step
    done: int = 0
    total: int = 0
    detail: str = ""


OnSyncProgress = Callable[[SyncProgress], None]


class ServerSync:
    """Syncs servers, one sync of a server at a time in all processes."""

    def __init__(
        self,
        database: Database,
        servers: Servers,
        pool: UpstreamPool,
        requests: CallerRequests,
        catalog_update: CatalogUpdate,
        offerings: Offerings,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._servers = servers
        self._pool = pool
        self._requests = requests
        self._catalog_update = catalog_update
        self._offerings = offerings
        self._metrics = metrics
        self._versions = Versions(database)

    async def run(self, tenant_id: int, server_id: int, on_progress: OnSyncProgress = lambda _: None) -> SyncResult:
        """Bring one server's tools up to date.

        Raises ConflictError while another sync of it runs, UpstreamError when the server cannot be listed, and what
        the database raises. Then the catalogue is as it was, and why stands on the server's record; where that cannot
        be written, DatabaseUnavailableError is raised.
        """
        started = time.monotonic()
        outcome = "failed"
        result = SyncResult("")
        try:
            with in_background():
                result = await self._run(tenant_id, server_id, on_progress)
            outcome = "ok"
        except ConflictError:
            outcome = "busy"
            raise
        finally:
            changes = {"added": len(result.added), "changed": len(result.changed), "removed": len(result.removed)}
            self._metrics.observe_sync(outcome, changes, time.monotonic() - started)
        return replace(result, seconds=time.monotonic() - started)

    async def _run(self, tenant_id: int, server_id: int, on_progress: OnSyncProgress) -> SyncResult:
        spec = await self._servers.spec(tenant_id, server_id)
        async with self._exclusive(spec):
            try:
                on_progress(SyncProgress(spec.name, "list"))
                entries = await self._list_tools(spec, on_progress)
                on_progress(SyncProgress(spec.name, "compare"))
                # A listing may be large; reading it must not hold up the calls of others.
                tools, skipped = await asyncio.to_thread(parse_listing, entries)
                report = self._report(spec, skipped)
                if report.says_of_server:
                    await self._offerings.record(spec, "instructions", _instructions(report))
                result = await self._update(spec, tools, report, on_progress)
                note = self._pool.listing_note(spec, "tools/list")
                result = replace(result, notice=" ".join(part for part in (result.notice, note) if part))
            except Exception as error:
                reason = error.message if isinstance(error, ModelGateError) else "an internal error; see the log"
                await self._database.execute(
                    "record_sync_failure", tenant_id, server_id, make_storable(reason)[:_MAX_REASON_CHARACTERS]
                )
                raise
        on_progress(SyncProgress(spec.name, "done"))
        return result

    async def restore(
        self, tenant_id: int, server_id: int, version: int, on_progress: OnSyncProgress = lambda _: None
    ) -> SyncResult:
        """Go back to a version: its tools are offered again, with their rules and vectors, and the server is pinned.

        Raises NotFoundError where there is no such version, and as `run`.
        """
        started = time.monotonic()
        spec = await self._servers.spec(tenant_id, server_id)
        async with self._exclusive(spec):
            tools = await self._versions.load_tools(tenant_id, server_id, version)
            result = await self._update(spec, tools, None, on_progress, restores=version)
        on_progress(SyncProgress(spec.name, "done"))
        return replace(result, seconds=time.monotonic() - started)

    async def unpin(self, tenant_id: int, server_id: int) -> None:
        """Offer what the server lists from its next sync on. Raises NotFoundError."""
        spec = await self._servers.spec(tenant_id, server_id)
        async with self._exclusive(spec):
            await self._database.execute("pin_server", tenant_id, spec.id, None)

    @contextlib.asynccontextmanager
    async def _exclusive(self, spec: ServerSpec) -> AsyncIterator[None]:
        # The lock ends with the connection, and so with a process that is killed.
        async with self._database.dedicated_connection() as lock:
            if not await lock.fetchval("try_lock_server_sync", spec.id):
                raise ConflictError(f"{spec.name} is being synced already; wait for that to end.")
            yield

    async def _list_tools(self, spec: ServerSpec, on_progress: OnSyncProgress) -> list[object]:
        """What the server lists; nothing where it has said that it has no tools and does not know the method."""
        following = asyncio.create_task(self._follow_start(spec, on_progress))
        try:
            return await self._requests.list_all(spec, "tools/list", "tools")
        except UpstreamReplyError as error:
            info = self._pool.session_info(spec)
            if error.code != METHOD_NOT_FOUND or info is None or "tools" in info.capabilities:
                raise
            return []
        finally:
            following.cancel()

    async def _follow_start(self, spec: ServerSpec, on_progress: OnSyncProgress) -> None:
        """Tell what a server says while it starts, for as long as that takes it."""
        starting, shown = False, ""
        while True:
            await asyncio.sleep(_STARTUP_SECONDS)
            status = self._pool.status(spec.id)
            if status.state == "starting":
                if not starting or status.startup_line != shown:
                    starting, shown = True, status.startup_line
                    on_progress(SyncProgress(spec.name, "start", detail=make_storable(shown)))
            elif starting:
                starting = False
                on_progress(SyncProgress(spec.name, "list"))

    def _report(self, spec: ServerSpec, skipped: Sequence[SkippedTool]) -> ServerReport:
        info = self._pool.session_info(spec)
        if info is None:
            return ServerReport(tuple(skipped))
        return ServerReport(
            tuple(skipped),
            instructions=info.instructions and make_storable(info.instructions),
            server_info=make_storable(info.server_info),
            protocol_version=info.protocol_version,
            capabilities=make_storable(info.capabilities),
        )

    async def _update(
        self,
        spec: ServerSpec,
        tools: Sequence[ToolDefinition],
        report: ServerReport | None,
        on_progress: OnSyncProgress,
        restores: int | None = None,
    ) -> SyncResult:
        def on_embedded(done: int, total: int) -> None:
            on_progress(SyncProgress(spec.name, "embed" if done < total else "store", done, total))

        result = await self._catalog_update.apply(spec, tools, report, on_embedded, restores=restores)
        if result.version is not None or result.embedded:
            # The sync is done; that the next searches may be slower does not make it fail.
            with contextlib.suppress(ModelGateError):
                await self._database.execute("analyze_catalogue")
        return result


def _instructions(report: ServerReport) -> list[Offering]:
    """What a server says of itself to models; its version may be another at every sync."""
    info = report.server_info or {}
    said = {key: info[key] for key in ("name", "title", "description") if isinstance(info.get(key), str)}
    if report.instructions:
        said["instructions"] = report.instructions
    return [Offering("", said)] if said else []
