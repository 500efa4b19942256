"""What the process that writes to the cluster says of it, for the others and for the command line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import anyio

from gateway.database.pool import Database
from gateway.errors import DatabaseError

_LOOK_SECONDS = 1.0
_REPORT_SECONDS = 10.0
SILENT_SECONDS = 3 * _REPORT_SECONDS
"""Whoever has said nothing for so long writes no more."""


class Progress(Protocol):
    """How far the cluster is behind the catalogue: `tenants` that are, and for how many seconds at the longest.

    `failure` is why it does not go on, empty where it does; `written` counts what was written since the process began.
    """

    @property
    def tenants(self) -> int: ...

    @property
    def seconds(self) -> float: ...

    @property
    def failure(self) -> str: ...

    @property
    def written(self) -> int: ...


@dataclass(frozen=True, slots=True)
class FeedReport:
    """A `Progress` as it was at `reported_at`; `silent`: that is so long ago that nobody writes any more."""

    tenants_behind: int
    seconds: float
    failure: str
    written: int
    reported_at: datetime
    silent: bool


class FeedReports:
    """Where the report is kept. Every method raises DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self) -> FeedReport | None:
        """The last one, None where there never was one."""
        row = await self._database.fetchrow("feed_report", SILENT_SECONDS)
        return None if row is None else FeedReport(**row)

    async def write(self, progress: Progress) -> None:
        """Keep it, in place of the one before."""
        await self._database.execute(
            "write_feed_report", progress.tenants, progress.seconds, progress.failure, progress.written
        )

    async def follow(self, progress: Callable[[], Progress]) -> None:
        """Keep what `progress` says, as it changes and every ten seconds, until cancelled."""
        kept: tuple[int, str, int] | None = None
        kept_at = 0.0
        while True:
            now = progress()
            facts = (now.tenants, now.failure, now.written)
            if facts != kept or time.monotonic() - kept_at >= _REPORT_SECONDS:
                # Whether the database answers is told elsewhere; the next look tries it again.
                with contextlib.suppress(DatabaseError):
                    await self.write(now)
                    kept, kept_at = facts, time.monotonic()
            await anyio.sleep(_LOOK_SECONDS)
