"""The audit log: every use of a tool and every other event, written in batches beside the calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from types import TracebackType

import anyio
import asyncpg
from typing_extensions import Self

from gateway.audit.events import AuditEvent, ToolUse
from gateway.audit.rows import AuditRowBuilder
from gateway.database.pool import Database
from gateway.errors import AuditUnavailableError, DatabaseUnavailableError, ModelGateError
from gateway.finishing_task import FinishingTask
from gateway.settings import AuditSettings

logger = logging.getLogger(__name__)

_BATCH_EVENTS = 500
# Events gather for this long before they are written: a statement for each would slow the calls.
_FLUSH_DELAY_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_SHUTDOWN_SECONDS = 5.0
_MAINTENANCE_INTERVAL_SECONDS = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class AuditState:
    """How writing does. `waiting` events are not written yet, `dropped` ones never will be."""

    ready: bool
    detail: str
    waiting: int
    dropped: int


@dataclass(frozen=True, slots=True)
class _PendingEvent:
    """An event to be written; `written` is for whoever waits until it is."""

    event: ToolUse | AuditEvent
    written: asyncio.Future[None] | None = None

    def resolve(self, error: AuditUnavailableError | None = None) -> None:
        """Let who waits go on, with what kept it from being written if anything did."""
        if self.written is None or self.written.done():
            return
        if error is None:
            self.written.set_result(None)
        else:
            self.written.set_exception(error)


class AuditRecorder:
    """Takes events at once and writes them soon. Entered and left in one task; leaving writes what is left."""

    def __init__(self, database: Database, settings: AuditSettings) -> None:
        """Raises SettingsError for rules of redaction that cannot be."""
        self._database = database
        self._settings = settings
        self._rows = AuditRowBuilder(settings)
        self._waiting: deque[_PendingEvent] = deque()
        self._wake = asyncio.Event()
        # Somebody waits for what is to be written, or for the end.
        self._hurry = asyncio.Event()
        self._dropped = 0
        self._failure: str | None = None
        self._partitions: set[tuple[int, int]] = set()
        self._writing = FinishingTask(_SHUTDOWN_SECONDS)

    async def __aenter__(self) -> Self:
        self._writing.start(self._write_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what waits; a database that does not take it within seconds is told of in the log."""
        self._hurry.set()
        self._wake.set()
        await self._writing.finish()
        self._give_up_durable()
        if self._waiting:
            logger.error("%d events could not be written to the audit log and are lost.", len(self._waiting))

    @property
    def fail_closed(self) -> bool:
        """Whether nothing may be done that is not recorded before."""
        return self._settings.fail_closed

    @property
    def keeps_every_result(self) -> bool:
        """Whether the head of a result is kept of calls that went well, too."""
        return self._settings.results == "all"

    def require_writable(self) -> None:
        """Call before anything that has to be recorded. Raises AuditUnavailableError where it could not be, and the
        settings want it to fail then.
        """
        if self._settings.fail_closed and (self._failure is not None or self._full):
            raise AuditUnavailableError()

    def record(self, event: ToolUse | AuditEvent) -> None:
        """Take an event to be written; never waits. Beyond what may wait, events are counted and dropped."""
        if self._full:
            self._dropped += 1
            return
        self._waiting.append(_PendingEvent(event))
        if not self._wake.is_set():
            self._wake.set()

    async def record_durably(self, event: ToolUse | AuditEvent) -> None:
        """Returns once the event is written. Raises AuditUnavailableError where it cannot be; it is given up then."""
        if self._full or self._failure is not None or self._writing.stopping.is_set():
            raise AuditUnavailableError()
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_PendingEvent(event, written))
        self._hurry.set()
        self._wake.set()
        await written

    def state(self) -> AuditState:
        """For those who look after the gateway."""
        detail = "Calls, searches and changes are written to the trace."
        if self._failure is not None:
            detail = f"The trace cannot be written: {self._failure}"
        elif self._full:
            detail = "The trace is written too slowly: no further events are taken until some are written."
        if self._dropped:
            detail += f" {self._dropped} events were dropped since the start."
        complete = not (self._settings.fail_closed and self._dropped)
        ready = self._failure is None and not self._full and complete
        return AuditState(ready, detail, len(self._waiting), self._dropped)

    async def maintain_partitions(self) -> None:
        """Make room for the months to come, and drop those that are past their time. Raises DatabaseError."""
        now = datetime.now(timezone.utc)
        for moment in (now, now + timedelta(days=31), now + timedelta(days=62)):
            await self._make_partitions(moment)
        if not self._settings.retention_days:
            return
        # One table at a time: to drop a month locks out its readers, and those of the whole log read both.
        for table in ("tool_calls", "audit_log"):
            before = now - timedelta(days=self._settings.retention_days)
            dropped = await self._database.fetchval("drop_audit_partitions", table, before)
            if dropped:
                logger.info("Dropped from the audit log, as past audit.retention_days: %s.", ", ".join(dropped))

    @property
    def _full(self) -> bool:
        return len(self._waiting) >= self._settings.queue_events

    async def _write_all(self) -> None:
        maintained_at: float | None = None
        while True:
            if maintained_at is None or time.monotonic() - maintained_at >= _MAINTENANCE_INTERVAL_SECONDS:
                try:
                    await self.maintain_partitions()
                    maintained_at = time.monotonic()
                except (ModelGateError, asyncpg.PostgresError) as error:
                    logger.info(
                        "The partitions of the audit log could not be made or dropped for the moment: %s", error
                    )
            with anyio.move_on_after(_MAINTENANCE_INTERVAL_SECONDS):
                await self._wake.wait()
            with anyio.move_on_after(_FLUSH_DELAY_SECONDS):
                await self._hurry.wait()
            self._wake.clear()
            if self._writing.stopping.is_set():
                await self._write_waiting()
                return
            self._hurry.clear()
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        # What failed is tried until it is written, be it with nothing: nobody else would find out that it can be.
        while self._waiting or (self._failure is not None and not self._writing.stopping.is_set()):
            batch = list(islice(self._waiting, _BATCH_EVENTS))
            done = await self._write_batch(batch)
            for _ in range(done):
                self._waiting.popleft()
            if self._failure is not None:
                self._give_up_durable()
                await self._pause(_RETRY_SECONDS)

    def _give_up_durable(self) -> None:
        """Who waits for an event to be written does without, and the event is not written later either: what it tells
        of is not done.
        """
        for waiting in self._waiting:
            waiting.resolve(AuditUnavailableError())
        self._waiting = deque(waiting for waiting in self._waiting if waiting.written is None)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not while the gateway stops; then only as long as it takes to try again."""
        if self._writing.stopping.is_set():
            seconds = min(seconds, 0.05 if self._failure else 0.0)
            await asyncio.sleep(seconds)
            return
        with anyio.move_on_after(seconds):
            await self._writing.stopping.wait()

    async def _write_batch(self, batch: Sequence[_PendingEvent]) -> int:
        """How many of the batch, from its beginning, are done: written, or dropped for what they hold."""
        try:
            await self._insert([waiting.event for waiting in batch])
        except DatabaseUnavailableError as error:
            self._fail(error.message)
            return 0
        except Exception as error:
            self._partitions.clear()
            if len(batch) > 1:
                # One of them cannot be written as it is; the others can.
                done = 0
                for waiting in batch:
                    if not await self._write_batch([waiting]):
                        break
                    done += 1
                return done
            if isinstance(error, asyncpg.PostgresError) or not batch:
                self._fail(str(error))
                return 0
            self._dropped += 1
            logger.warning("An event could not be written to the audit log.", exc_info=error)
            batch[0].resolve(AuditUnavailableError())
        if self._failure is not None:
            logger.warning("The audit log is written again.")
        self._failure = None
        for waiting in batch:
            waiting.resolve()
        return len(batch)

    def _fail(self, reason: str) -> None:
        if self._failure is None:
            logger.error("The audit log cannot be written: %s", reason)
        self._failure = reason

    async def _insert(self, batch: Sequence[ToolUse | AuditEvent]) -> None:
        for moment in {(at.year, at.month): at for event in batch if (at := _as_datetime(event.at))}.values():
            if (moment.year, moment.month) not in self._partitions:
                await self._make_partitions(moment)
        uses = [self._rows.build_tool_call(event) for event in batch if isinstance(event, ToolUse)]
        events = [self._rows.build_event(event) for event in batch if isinstance(event, AuditEvent)]
        if not events:
            # Most batches by far, and one statement is a transaction by itself.
            await self._database.execute("insert_tool_calls", uses)
            return
        async with self._database.transaction() as transaction:
            if uses:
                await transaction.execute("insert_tool_calls", uses)
            await transaction.execute("insert_audit_log", events)

    async def _make_partitions(self, moment: datetime) -> None:
        await self._database.fetchval("make_audit_partitions", moment)
        self._partitions.add((moment.year, moment.month))


def _as_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
