"""How a tenant's tools are used: counts, times, and what people miss."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal

from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.database.pool import Database
from gateway.settings import SearchSettings

_MAX_ROWS = 20
_CHARACTERS_PER_TOKEN = 4
_SPANS = {
    "1h": (timedelta(hours=1), timedelta(minutes=1)),
    "24h": (timedelta(hours=24), timedelta(minutes=30)),
    "30d": (timedelta(days=30), timedelta(hours=12)),
}


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """How far to look back."""

    span: Literal["1h", "24h", "30d"] = "24h"

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class CallsFilter:
    """How many of the last calls."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Counts, and the times of calls and searches in milliseconds; None where there was none.

    `denied` counts calls of what is not there for the caller, `limited` those over a limit of their key, `keys` the
    keys that were used.
    """

    calls: int
    searches: int
    call_errors: int
    denied: int
    limited: int
    empty_searches: int
    call_p50_ms: float | None
    call_p95_ms: float | None
    search_p50_ms: float | None
    search_p95_ms: float | None
    keys: int


@dataclass(frozen=True, slots=True)
class UsageStep:
    """A step of the span, from `starts` on; the 95th percentile in milliseconds, None without any use."""

    starts: datetime
    calls: int
    searches: int
    call_errors: int
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class UsedTool:
    """A tool that was called, with its times in milliseconds."""

    tool_id: int
    exposed_name: str
    server_name: str
    calls: int
    errors: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class MissedQuery:
    """Something that was searched for and not found."""

    query: str
    times: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """What a key did: `problems` are calls and searches that came out in any way but well, `tools` those it called."""

    calls: int
    searches: int
    problems: int
    tools: int


@dataclass(frozen=True, slots=True)
class UnusedTool:
    """A tool that no search returned and nobody called."""

    id: int
    exposed_name: str
    server_name: str


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """One call of a tool: when, by which key, how it went, and how long it took."""

    at: datetime
    key_name: str
    outcome: str
    duration_ms: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Use of a tenant's tools in a span. `steps` cover all of it, `step_seconds` apart.

    `tokens_saved`, an estimate: a quarter of the characters that clients would have been listed once in each of their
    `sessions` without search, less what the answers held. `unused` is the beginning of `unused_count` tools.
    """

    since: datetime
    step_seconds: float
    totals: UsageTotals
    steps: tuple[UsageStep, ...]
    tokens_saved: int
    sessions: int
    top_tools: tuple[UsedTool, ...]
    missed: tuple[MissedQuery, ...]
    unused_count: int
    unused: tuple[UnusedTool, ...]


class UsageService:
    """Reads the audit log of calls and searches."""

    def __init__(self, database: Database, settings: SearchSettings) -> None:
        self._database = database
        self._answer_characters = settings.answer_tokens * _CHARACTERS_PER_TOKEN

    async def get(self, tenant_id: int, query: UsageFilter) -> Usage:
        """Use within a span that ends now."""
        span, step = _SPANS[query.span]
        now = datetime.now(timezone.utc)
        # Whole steps, so that the same moment stays in the same step.
        seconds = step.total_seconds()
        end = datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, timezone.utc)
        since = end - span
        async with self._database.connection() as connection:
            totals = await connection.fetchrow("usage_totals", tenant_id, since)
            series = await connection.fetch("usage_over_time", tenant_id, since, step)
            top = await connection.fetch("top_tools", tenant_id, since, _MAX_ROWS)
            missed = await connection.fetch("queries_without_result", tenant_id, since, _MAX_ROWS)
            unused = await connection.fetch("tools_never_found", tenant_id, since, _MAX_ROWS)
            saved = await connection.fetchrow("usage_characters_saved", tenant_id, since, self._answer_characters)
        assert totals is not None
        assert saved is not None
        by_start = {row["starts"]: UsageStep(**row) for row in series}
        starts = [since + position * step for position in range(round(span / step))]
        return Usage(
            since=since,
            step_seconds=seconds,
            totals=UsageTotals(**totals),
            steps=tuple(by_start.get(start, UsageStep(start, 0, 0, 0, None)) for start in starts),
            sessions=saved["sessions"],
            tokens_saved=max(0, int(saved["listing"] - saved["answers"]) // _CHARACTERS_PER_TOKEN),
            top_tools=tuple(UsedTool(**row) for row in top),
            missed=tuple(MissedQuery(**row) for row in missed),
            unused_count=unused[0]["total"] if unused else 0,
            unused=tuple(UnusedTool(row["id"], row["exposed_name"], row["server_name"]) for row in unused),
        )

    async def of_key(self, tenant_id: int, key_id: int, days: int = 30) -> KeyUsage:
        """What a key did in so many days."""
        since = datetime.now(timezone.utc) - timedelta(days=days)
        row = await self._database.fetchrow("usage_of_key", tenant_id, key_id, since)
        assert row is not None
        return KeyUsage(**row)

    async def list_tool_calls(self, tenant_id: int, tool_id: int, query: CallsFilter) -> tuple[ToolCallRecord, ...]:
        """The last calls of a tool, newest first; none for a tool that is not there."""
        rows = await self._database.fetch("recent_tool_calls", tenant_id, tool_id, query.limit)
        return tuple(ToolCallRecord(**row) for row in rows)
