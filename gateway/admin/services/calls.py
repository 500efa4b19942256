"""Calls and searches of clients: the last ones, and those to come as they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.audit import parse_cursor
from gateway.database.pool import Database

_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
CallOutcome = Literal["problem", "ok", "tool error", "failed", "denied", "unknown", "limited", "invalid"]

_POLL_SECONDS = 1.0
_MAX_AT_ONCE = 200
# Two processes write at the same time, and the one that took its ids first may be done last.
_OVERLAP_IDS = 1_000


@dataclass(frozen=True, slots=True)
class FollowFilter:
    """Which calls and searches: of a tool, a key or a server, and how they came out; `problem`: in any way but ok."""

    tool_id: _Id | None = None
    key_id: _Id | None = None
    server_id: _Id | None = None
    outcome: CallOutcome | None = None
    kind: Literal["call", "search"] | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class CallFilter(FollowFilter):
    """Which of them, and which page; `cursor` is the `next` of the page before."""

    cursor: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call or a search. `target` is the name that was called, or what was searched for.

    `results` counts what was found, `error` says what went wrong; `result` is the head of the tool's answer, as far as
    `audit.results` has it kept.
    Secrets are masked in all of it.
    """

    at: datetime
    id: int
    kind: str
    key_id: int
    key_name: str
    address: str
    server_id: int | None
    server_name: str | None
    tool_id: int | None
    target: str
    outcome: str
    duration_ms: float
    arguments: JsonValue
    results: int | None
    error: str | None
    result: str | None


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls, newest first; `next` is the cursor of the next page, None on the last."""

    items: tuple[CallRecord, ...]
    next: str | None


class CallService:
    """Reads the calls of a tenant's clients."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, tenant_id: int, query: CallFilter) -> CallPage:
        """A page of calls. Raises InvalidInputError for a cursor of something else."""
        at, row_id = parse_cursor(query.cursor) or (None, None)
        rows = await self._database.fetch(_statement(query), *_arguments(tenant_id, query), at, row_id, query.limit + 1)
        items = tuple(CallRecord(**row) for row in rows[: query.limit])
        more = len(rows) > query.limit
        return CallPage(items, f"{items[-1].at.isoformat()}/{items[-1].id}" if more else None)

    async def follow(self, tenant_id: int, query: FollowFilter) -> AsyncIterator[tuple[CallRecord, ...]]:
        """Calls as they are written from now on, oldest first, of whatever process; without an end."""
        last: int = await self._database.fetchval("last_written_call", tenant_id)
        first, seen = last, set[int]()
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            after = max(first, last - _OVERLAP_IDS)
            rows = await self._database.fetch(
                "written_calls", *_arguments(tenant_id, query), after, _OVERLAP_IDS + _MAX_AT_ONCE
            )
            new = tuple(CallRecord(**row) for row in rows if row["id"] not in seen)
            last = max([last, *(call.id for call in new)])
            seen = {call_id for call_id in seen | {call.id for call in new} if call_id > last - _OVERLAP_IDS}
            if new:
                yield new


def _statement(query: FollowFilter) -> str:
    """The statement that has an index for what is asked."""
    if query.tool_id is not None:
        return "calls_of_tool"
    if query.server_id is not None:
        return "calls_of_server"
    return "calls_page" if query.key_id is None else "calls_of_key"


def _arguments(tenant_id: int, query: FollowFilter) -> tuple[Any, ...]:
    return tenant_id, query.tool_id, query.key_id, query.server_id, query.outcome, query.kind
