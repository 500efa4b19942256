"""The trace: every use of a tool and every deed, written in batches beside the calls."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from types import TracebackType
from typing import Any

import asyncpg
from typing_extensions import Self

from gateway.audit.events import AuditEvent, ToolUse
from gateway.audit.redaction import Redaction
from gateway.database.pool import Database
from gateway.errors import AuditUnavailableError, DatabaseUnavailableError, ModelGateError
from gateway.settings import AuditSettings

logger = logging.getLogger(__name__)

_BATCH = 500
# Events gather for this long before they are written: a statement for each would slow the calls.
_GATHER_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_FAREWELL_SECONDS = 5.0
_KEEP_EVERY_SECONDS = 6 * 3600.0
_TARGET_CHARACTERS = 2_000
_ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class AuditState:
    """How the trace does. `waiting` events are not written yet, `dropped` ones never will be."""

    ready: bool
    detail: str
    waiting: int
    dropped: int


class Recorder:
    """Takes events at once and writes them soon. Entered and left in one task; leaving writes what is left."""

    def __init__(self, database: Database, settings: AuditSettings) -> None:
        """Raises SettingsError for rules of redaction that cannot be."""
        self._database = database
        self._settings = settings
        self._redaction = Redaction(settings)
        self._waiting: deque[ToolUse | AuditEvent] = deque()
        self._there = asyncio.Event()
        self._leaving = asyncio.Event()
        self._dropped = 0
        self._failure: str | None = None
        self._months: set[tuple[int, int]] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._write_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what waits; a database that does not take it within seconds is told of in the log."""
        self._leaving.set()
        self._there.set()
        if self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=_FAREWELL_SECONDS)
            if not done:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._waiting:
            logger.error("%d events could not be written to the trace and are lost.", len(self._waiting))

    def admit(self) -> None:
        """Call before anything that has to be traced. Raises AuditUnavailableError where it could not be, and the
        settings want it to fail then.
        """
        if self._settings.fail_closed and (self._failure is not None or self._full):
            raise AuditUnavailableError()

    def record(self, event: ToolUse | AuditEvent) -> None:
        """Take an event to be written; never waits. Beyond what may wait, events are counted and dropped."""
        if self._full:
            self._dropped += 1
            return
        self._waiting.append(event)
        if not self._there.is_set():
            self._there.set()

    def state(self) -> AuditState:
        """For those who look after the gateway."""
        detail = "Calls, searches and changes are written to the trace."
        if self._failure is not None:
            detail = f"The trace cannot be written: {self._failure}"
        elif self._full:
            detail = "The trace is written too slowly: no further events are taken until some are written."
        if self._dropped:
            detail += f" {self._dropped} events were dropped since the start."
        return AuditState(self._failure is None and not self._full, detail, len(self._waiting), self._dropped)

    async def keep(self) -> None:
        """Make room for the months to come, and drop those that are past their time. Raises DatabaseError."""
        now = datetime.now(timezone.utc)
        for moment in (now, now + timedelta(days=31), now + timedelta(days=62)):
            await self._make_room(moment)
        if not self._settings.retention_days:
            return
        # One table at a time: to drop a month locks out its readers, and those of the whole trace read both.
        for table in ("tool_calls", "audit_log"):
            before = now - timedelta(days=self._settings.retention_days)
            dropped = await self._database.fetchval("drop_trace_partitions", table, before)
            if dropped:
                logger.info("Dropped from the trace, as past audit.retention_days: %s.", ", ".join(dropped))

    @property
    def _full(self) -> bool:
        return len(self._waiting) >= self._settings.queue_events

    async def _write_all(self) -> None:
        kept_at: float | None = None
        while True:
            if kept_at is None or time.monotonic() - kept_at >= _KEEP_EVERY_SECONDS:
                try:
                    await self.keep()
                    kept_at = time.monotonic()
                except (ModelGateError, asyncpg.PostgresError) as error:
                    logger.info("The trace's months could not be kept for the moment: %s", error)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._there.wait(), timeout=_KEEP_EVERY_SECONDS)
            await self._pause(_GATHER_SECONDS)
            self._there.clear()
            while self._waiting:
                settled = await self._try(list(islice(self._waiting, _BATCH)))
                for _ in range(settled):
                    self._waiting.popleft()
                if not settled:
                    await self._pause(_RETRY_SECONDS)
            if self._leaving.is_set():
                return

    async def _pause(self, seconds: float) -> None:
        """Wait, but not while the gateway stops; then only as long as it takes to try again."""
        if self._leaving.is_set():
            seconds = min(seconds, 0.05 if self._failure else 0.0)
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), timeout=seconds)

    async def _try(self, batch: Sequence[ToolUse | AuditEvent]) -> int:
        """How many of the batch, from its beginning, are settled: written, or dropped for what they hold."""
        try:
            await self._write(batch)
        except DatabaseUnavailableError as error:
            self._fail(error.message)
            return 0
        except Exception as error:
            self._months.clear()
            if len(batch) > 1:
                # One of them cannot be written as it is; the others can.
                settled = 0
                for event in batch:
                    if not await self._try([event]):
                        break
                    settled += 1
                return settled
            if isinstance(error, asyncpg.PostgresError):
                self._fail(str(error))
                return 0
            self._dropped += 1
            logger.warning("An event could not be written to the trace.", exc_info=error)
        if self._failure is not None:
            logger.warning("The trace is written again.")
        self._failure = None
        return len(batch)

    def _fail(self, reason: str) -> None:
        if self._failure is None:
            logger.error("The trace cannot be written: %s", reason)
        self._failure = reason

    async def _write(self, batch: Sequence[ToolUse | AuditEvent]) -> None:
        for moment in {(at.year, at.month): at for event in batch if (at := _moment(event.at))}.values():
            if (moment.year, moment.month) not in self._months:
                await self._make_room(moment)
        uses = [self._use(event) for event in batch if isinstance(event, ToolUse)]
        deeds = [self._deed(event) for event in batch if isinstance(event, AuditEvent)]
        if not deeds:
            # Most batches by far, and one statement is a transaction by itself.
            await self._database.execute("write_tool_calls", uses)
            return
        async with self._database.transaction() as transaction:
            if uses:
                await transaction.execute("write_tool_calls", uses)
            await transaction.execute("write_audit_log", deeds)

    async def _make_room(self, moment: datetime) -> None:
        await self._database.fetchval("make_trace_partitions", moment)
        self._months.add((moment.year, moment.month))

    def _use(self, use: ToolUse) -> dict[str, Any]:
        digest = hashlib.sha256(use.target.encode(errors="replace")).hexdigest() if use.kind == "search" else None
        by_hash = use.kind == "search" and self._settings.queries == "hash"
        arguments = use.arguments if self._settings.arguments else None
        return {
            "tenant_id": use.caller.tenant_id,
            "at": use.at,
            "kind": use.kind,
            "key_id": use.caller.key_id,
            "key_name": use.caller.key_name,
            "role_ids": use.caller.role_ids,
            "address": use.caller.address,
            "server_id": use.server_id,
            "tool_id": use.tool_id,
            "target": digest if by_hash else self._redaction.text(use.target[:_TARGET_CHARACTERS]),
            "outcome": use.outcome,
            "duration_ms": use.duration_ms,
            "arguments": None if arguments is None else self._redaction.arguments(arguments),
            "query_hash": digest,
            "results": use.results,
            "found": use.found if use.kind == "search" else None,
            "error": use.error and self._redaction.text(use.error[:_ERROR_CHARACTERS]),
        }

    def _deed(self, deed: AuditEvent) -> dict[str, Any]:
        return {
            "tenant_id": deed.tenant_id,
            "at": deed.at,
            "actor_kind": deed.actor.kind,
            "actor_id": deed.actor.id,
            "actor_name": self._redaction.text(deed.actor.name),
            "roles": deed.actor.roles,
            "address": deed.actor.address,
            "action": deed.action,
            "target": self._redaction.text(deed.target[:_TARGET_CHARACTERS]),
            "outcome": deed.outcome,
            "duration_ms": deed.duration_ms,
            "details": self._redaction.arguments(deed.details),
        }


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
