"""Syncing a server when it says that its tools have changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import anyio

from gateway.backoff import Backoff
from gateway.catalog.sync.server_sync import ServerSync
from gateway.errors import ConflictError, DatabaseUnavailableError, ModelGateError
from gateway.json_codec import Message
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 0.25
_MAX_WAIT_SECONDS = 5.0
_RETRY_SECONDS = 0.5
_DATABASE_BACKOFF = Backoff(_RETRY_SECONDS, 5.0)


class AutoSync:
    """Syncs a server once it has been quiet for a quarter of a second, and after five seconds in any case.

    While the database does not answer it is tried again, in the end every five seconds: nobody else knows of the
    change.
    """

    def __init__(self, sync: ServerSync, notifications: UpstreamNotifications) -> None:
        self._sync = sync
        self._changed: dict[int, asyncio.Event] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._open = False
        notifications.subscribe(self._handle_notification)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sync until the block ends; a sync under way is then given up, which leaves nothing half-written."""
        self._open = True
        try:
            yield
        finally:
            self._open = False
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _handle_notification(self, spec: ServerSpec, _: str | None, method: str, params: Message) -> None:
        if method != "notifications/tools/list_changed" or not self._open:
            return
        changed = self._changed.setdefault(spec.id, asyncio.Event())
        changed.set()
        if spec.id not in self._tasks:
            self._tasks[spec.id] = asyncio.create_task(self._run_sync(spec, changed))

    async def _run_sync(self, spec: ServerSpec, changed: asyncio.Event) -> None:
        try:
            await self._sync_until_quiet(spec, changed)
        finally:
            # At once after the last check: a change that comes later starts a task of its own.
            self._tasks.pop(spec.id, None)

    async def _sync_until_quiet(self, spec: ServerSpec, changed: asyncio.Event) -> None:
        failures = 0
        while changed.is_set():
            with anyio.move_on_after(_MAX_WAIT_SECONDS):
                while changed.is_set():
                    changed.clear()
                    await asyncio.sleep(_QUIET_SECONDS)
            changed.clear()
            try:
                await self._sync.run(spec.tenant_id, spec.id)
                failures = 0
            except ConflictError:
                # The sync under way may have listed before the change.
                changed.set()
                await asyncio.sleep(_RETRY_SECONDS)
            except DatabaseUnavailableError as error:
                logger.info("Server %s is synced when the database answers again: %s", spec.name, error)
                failures += 1
                changed.set()
                await asyncio.sleep(_DATABASE_BACKOFF.delay(failures))
            except ModelGateError as error:
                logger.info("Server %s could not be synced after it changed: %s", spec.name, error)
            except Exception:
                logger.exception("The sync of server %s broke down", spec.name)
