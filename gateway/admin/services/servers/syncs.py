"""Syncs that run in the background of this process, and how far they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Literal

from gateway.admin.accounts.principal import Principal
from gateway.admin.services.servers.server_card import SkippedToolView
from gateway.catalog.servers.server import Servers
from gateway.catalog.sync.server_sync import ServerSync, SyncProgress
from gateway.catalog.sync.sync_result import SyncResult
from gateway.errors import ModelGateError, NotFoundError
from gateway.task_set import TaskSet

_MAX_CONCURRENT_SYNCS = 4


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """What a sync did. `embedded` counts texts; `notice` says what could not be done yet, empty where all was.

    `version` is the one that it wrote, None where nothing changed; `quarantined` tools wait for approval.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    skipped: tuple[SkippedToolView, ...]
    embedded: int
    seconds: float
    notice: str
    version: int | None
    quarantined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SyncJob:
    """One sync of one server.

    `step`: waiting, start, list, compare, embed, store, done; `done` of `total` counts texts in the step embed,
    `detail` is what the server says in the step start. `error` is a sentence where `state` is failed, `outcome` is
    there where it is done.
    """

    server_id: int
    server: str
    state: Literal["running", "done", "failed"]
    step: str
    done: int
    total: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: SyncOutcome | None = None
    error: str | None = None
    detail: str = ""


class SyncService:
    """Starts syncs and follows them. One sync of a server at a time: who starts a second joins the first."""

    def __init__(self, servers: Servers, sync: ServerSync) -> None:
        self._servers = servers
        self._sync = sync
        self._jobs: dict[tuple[int, int], SyncJob] = {}
        self._tasks = TaskSet()
        self._limit = asyncio.Semaphore(_MAX_CONCURRENT_SYNCS)
        self._changed = asyncio.Event()

    async def start(self, tenant_id: int, server_id: int) -> SyncJob:
        """Start a sync, or join the one that runs. Raises NotFoundError."""
        running = self._jobs.get((tenant_id, server_id))
        if running is not None and running.state == "running":
            return running
        spec = await self._servers.spec(tenant_id, server_id)
        # Another request may have started it while this one waited.
        running = self._jobs.get((tenant_id, server_id))
        if running is not None and running.state == "running":
            return running
        job = SyncJob(server_id, spec.name, "running", "waiting", 0, 0, datetime.now(timezone.utc))
        self._update(tenant_id, job)
        self._tasks.spawn(self._run(tenant_id, server_id))
        return job

    async def start_all(self, tenant_id: int) -> list[SyncJob]:
        """Start a sync of every server that is switched on."""
        servers = await self._servers.list(tenant_id)
        return [await self.start(tenant_id, server.id) for server in servers if server.enabled]

    def list(self, tenant_id: int, principal: Principal) -> list[SyncJob]:
        """The latest sync of each server that was synced from here, by name."""
        return [_shown_to(principal, job) for job in self._of_tenant(tenant_id)]

    def get(self, tenant_id: int, server_id: int, principal: Principal) -> SyncJob:
        """The latest sync of a server that was started here. Raises NotFoundError."""
        job = self._jobs.get((tenant_id, server_id))
        if job is None:
            raise NotFoundError(f"Server {server_id} has not been synced from here since the gateway started.")
        return _shown_to(principal, job)

    async def follow(
        self, tenant_id: int, principal: Principal, server_id: int | None = None
    ) -> AsyncIterator[SyncJob]:
        """Each state of a sync, or of every sync of the tenant, from now until none of them runs.

        A follower that is slow misses states in between, never the last.
        """
        yielded: dict[int, SyncJob] = {}
        while True:
            changed = self._changed
            jobs = [job for job in self._of_tenant(tenant_id) if server_id in (None, job.server_id)]
            for job in jobs:
                if yielded.get(job.server_id) is not job:
                    yielded[job.server_id] = job
                    yield _shown_to(principal, job)
            if changed is self._changed:
                if all(job.state != "running" for job in jobs):
                    return
                await changed.wait()

    def _of_tenant(self, tenant_id: int) -> Sequence[SyncJob]:
        return sorted((job for key, job in self._jobs.items() if key[0] == tenant_id), key=lambda job: job.server)

    async def aclose(self) -> None:
        """Cancel what runs; the catalogue stays whole, and the next sync finishes the job."""
        await self._tasks.aclose()

    async def _run(self, tenant_id: int, server_id: int) -> None:
        def on_progress(progress: SyncProgress) -> None:
            job = self._jobs[tenant_id, server_id]
            step, done, total, detail = progress.step, progress.done, progress.total, progress.detail
            self._update(tenant_id, replace(job, step=step, done=done, total=total, detail=detail))

        error, outcome = "The sync was ended before it was done; start it again.", None
        try:
            async with self._limit:
                result = await self._sync.run(tenant_id, server_id, on_progress)
            outcome = build_sync_outcome(result)
        except ModelGateError as failure:
            error = failure.message
        finally:
            job = self._jobs[tenant_id, server_id]
            ended = datetime.now(timezone.utc)
            if outcome is not None:
                self._update(tenant_id, replace(job, state="done", step="done", ended_at=ended, outcome=outcome))
            else:
                self._update(tenant_id, replace(job, state="failed", ended_at=ended, error=error))

    def _update(self, tenant_id: int, job: SyncJob) -> None:
        self._jobs[tenant_id, job.server_id] = job
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _shown_to(principal: Principal, job: SyncJob) -> SyncJob:
    """What a server's process writes may hold secrets, so it is for admins."""
    return job if principal.may_write else replace(job, detail="")


def build_sync_outcome(result: SyncResult) -> SyncOutcome:
    """What a sync did, for people."""
    return SyncOutcome(
        result.added,
        result.changed,
        result.removed,
        result.unchanged,
        tuple(SkippedToolView(tool.name, tool.reason) for tool in result.skipped),
        result.embedded,
        result.seconds,
        result.notice,
        result.version,
        result.quarantined,
    )
