"""Looking after servers on a timer: whether they answer, and whether their tools are still what they were."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone

import anyio

from gateway.backoff import Backoff
from gateway.catalog.servers.server import Servers
from gateway.catalog.sync.server_sync import ServerSync
from gateway.catalog.tool import make_storable
from gateway.database.connection import Row
from gateway.database.notices import Notice, Notices
from gateway.database.pool import Database
from gateway.errors import ConflictError, ModelGateError, NotFoundError
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.status import ServerStatus

logger = logging.getLogger(__name__)

_CHECKS_AT_ONCE = 8
# Of thousands of servers, many of them down, checks would else take all that the process has.
_CHECKS_PER_SECOND = 50
_SYNCS_AT_ONCE = 2
_POLL_SECONDS = 5.0
_MIN_SLEEP_SECONDS = 0.05
_GATHER_SECONDS = 0.1
_RETRY_SECONDS = 30.0
# Between two checks a server is taken to be as it was found, unless this many of them did not happen.
_GAP_CHECKS = 3.0
_MIN_GAP_SECONDS = 10.0


class _Retries:
    """When the failed sync of a healthy server is tried again: at once, and then less and less often."""

    def __init__(self) -> None:
        self._tries = 0
        self._next_at = -math.inf

    def begin(self, longest_seconds: float) -> bool:
        """Whether it is time, and the try is made now."""
        if time.monotonic() < self._next_at:
            return False
        self._tries += 1
        backoff = Backoff(_RETRY_SECONDS, max(longest_seconds, _RETRY_SECONDS))
        self._next_at = time.monotonic() + backoff.delay(self._tries)
        return True


class HealthChecks:
    """Checks every server that is switched on, keeps what came of it on its record, and syncs it when it is due, or as
    soon as a check finds it healthy after a sync that has failed.

    A server that answers slowly, or not at all, holds up no other. One that another process has added is checked at
    once: from then on there is a session in which it can say that its tools have changed. At most fifty checks begin in
    a second, so that a round of very many takes longer than the interval.
    """

    def __init__(
        self,
        database: Database,
        servers: Servers,
        pool: UpstreamPool,
        sync: ServerSync,
        settings: UpstreamSettings,
        notices: Notices,
    ) -> None:
        self._database = database
        self._servers = servers
        self._pool = pool
        self._sync = sync
        self._settings = settings
        self._checks = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._syncs = asyncio.Semaphore(_SYNCS_AT_ONCE)
        self._next_check_at = -math.inf
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._retries: dict[int, _Retries] = {}
        self._catalogue_changed = asyncio.Event()
        notices.subscribe(self._on_notice)

    async def run(self) -> None:
        """Look after all servers until cancelled; a changed interval counts within five seconds."""
        every = self._settings.check_every_seconds
        next_check = time.monotonic()
        try:
            while True:
                checks = bool(every) and time.monotonic() >= next_check
                if checks:
                    next_check = time.monotonic() + every
                until_sync = await self.start_due_checks(checks=checks)
                until_check = next_check - time.monotonic() if every else _POLL_SECONDS
                wait = max(_MIN_SLEEP_SECONDS, min(_POLL_SECONDS, until_check, until_sync))
                await (self._check_what_is_new(wait) if every else asyncio.sleep(wait))
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_notice(self, notice: Notice) -> None:
        if notice.concerns_catalogue:
            self._catalogue_changed.set()

    async def _check_what_is_new(self, seconds: float) -> None:
        """Begin a check of each server that is added in so many seconds, and return when they are over."""
        with anyio.move_on_after(seconds):
            while True:
                await self._catalogue_changed.wait()
                # What comes in one go is looked at once.
                await asyncio.sleep(_GATHER_SECONDS)
                self._catalogue_changed.clear()
                try:
                    await self._start_first_checks()
                except asyncio.CancelledError:
                    # Looked for in vain: it is done the next time.
                    self._catalogue_changed.set()
                    raise

    async def _start_first_checks(self) -> None:
        try:
            rows = await self._database.fetch("servers_never_checked")
        except ModelGateError as error:
            logger.info("Servers could not be looked for: %s", error)
            return
        check = functools.partial(self._check, sync_failed=False)
        for row in rows:
            self._start("check", row["tenant_id"], row["id"], self._checks, check)

    async def start_due_checks(self, *, checks: bool = True) -> float:
        """Begin a sync of every server that is due and, with `checks`, a check of each that is not being checked.

        Returns in how many seconds the next sync is due.
        """
        try:
            rows = await self._database.fetch("servers_to_check")
        except ModelGateError as error:
            logger.info("Servers could not be checked: %s", error)
            return math.inf
        next_sync = math.inf
        there = {row["id"] for row in rows}
        self._retries = {server_id: retries for server_id, retries in self._retries.items() if server_id in there}
        for row in rows:
            if checks:
                check = functools.partial(self._check, sync_failed=row["sync_failed_at"] is not None)
                self._start("check", row["tenant_id"], row["id"], self._checks, check)
            left, every = self._seconds_until_sync(row)
            if left <= 0:
                self._start("sync", row["tenant_id"], row["id"], self._syncs, self._sync_server)
                left = every
            next_sync = min(next_sync, left)
        return next_sync

    def _start(
        self,
        kind: str,
        tenant_id: int,
        server_id: int,
        limit: asyncio.Semaphore,
        work: Callable[[int, int], Awaitable[None]],
    ) -> None:
        key = (kind, server_id)
        if key not in self._tasks:
            task = asyncio.create_task(self._limited(limit, work, tenant_id, server_id))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _limited(
        self, limit: asyncio.Semaphore, work: Callable[[int, int], Awaitable[None]], tenant_id: int, server_id: int
    ) -> None:
        async with limit:
            try:
                await work(tenant_id, server_id)
            except (NotFoundError, ConflictError):
                # It was removed meanwhile, or somebody else is at it.
                return
            except ModelGateError as error:
                logger.info("Server %s could not be looked after: %s", server_id, error)
            except Exception:
                logger.exception("Looking after server %s broke down", server_id)

    async def _wait_for_turn(self) -> None:
        """Return when the next check may begin."""
        begin_at = max(self._next_check_at, time.monotonic())
        self._next_check_at = begin_at + 1 / _CHECKS_PER_SECOND
        await asyncio.sleep(begin_at - time.monotonic())

    async def _check(self, tenant_id: int, server_id: int, sync_failed: bool) -> None:
        await self._wait_for_turn()
        spec = await self._servers.spec(tenant_id, server_id)
        status = await self._pool.fetch_status(spec)
        # What is stopped while nobody uses it is not started to see whether it would start.
        stopped = spec.transport == "stdio" and spec.idle_stop_seconds and status.state == "idle" and not sync_failed
        if not stopped:
            status = await self._pool.check(spec)
        sync_failed = await self.record_health(tenant_id, server_id, status)
        if status.state != "connected" or not sync_failed:
            self._retries.pop(server_id, None)
        elif self._retries.setdefault(server_id, _Retries()).begin(self._settings.sync_every_seconds):
            self._start("sync", tenant_id, server_id, self._syncs, self._sync_server)

    async def record_health(self, tenant_id: int, server_id: int, status: ServerStatus) -> bool:
        """Keep how a server did at a check. Returns whether its last sync has failed."""
        error = make_storable(status.last_error) if status.last_error and status.state != "connected" else None
        gap = _GAP_CHECKS * max(self._settings.check_every_seconds, _MIN_GAP_SECONDS)
        await self._database.execute("note_health", tenant_id, server_id, status.state, error, gap)
        await self._database.execute("drop_old_health", tenant_id, server_id)
        failed: bool | None = await self._database.fetchval(
            "record_health",
            tenant_id,
            server_id,
            status.state,
            status.last_seen,
            status.latency_ms,
            status.restarts,
            make_storable(status.last_error) if status.last_error else None,
            make_storable(status.startup_line) or None,
        )
        return bool(failed)

    async def _sync_server(self, tenant_id: int, server_id: int) -> None:
        await self._sync.run(tenant_id, server_id)

    def _seconds_until_sync(self, row: Row) -> tuple[float, float]:
        """In how many seconds a server's sync is due, good or bad as the last one was, and how often it is.

        The first sync is made by hand.
        """
        interval = row["sync_every_seconds"]
        every = self._settings.sync_every_seconds if interval is None else interval
        last = max((at for at in (row["synced_at"], row["sync_failed_at"]) if at is not None), default=None)
        if not every or last is None:
            return math.inf, math.inf
        return every - (datetime.now(timezone.utc) - last).total_seconds(), every
