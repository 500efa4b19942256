"""What people do with tools: look for them, look at one, try it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from gateway.access.roles import Visibility
from gateway.admin.request_input import FORBID_EXTRA
from gateway.audit.events import AuditEvent
from gateway.audit.recorder import AuditRecorder
from gateway.catalog.server import Servers
from gateway.database.actor import current_actor
from gateway.database.pool import Database
from gateway.embedding.spaces import Spaces
from gateway.errors import ConflictError, EmbeddingError, NotFoundError, UpstreamError, UpstreamReplyError
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest

_MAX_SIMILAR = 8
# Two tools this near in meaning do the same thing.
_DUPLICATE_COSINE = 0.95

ToolState = Literal["present", "removed", "unembedded", "quarantined", "changed", "flagged", "any"]
Category = Literal["messaging", "file-system", "database", "api", "git", "calendar", "shell", "search", "other"]


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Which tools, and which page of them. `visibility` is that for `role_id`, and needs it.

    `cursor` is the `next` of the page before.
    """

    text: Annotated[str, Field(max_length=200)] | None = None
    server_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    category: Category | None = None
    state: ToolState = "present"
    role_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    visibility: Visibility | None = None
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ToolListItem:
    """A tool as a list shows it; `visibility` is that for the role asked about, None where none was.

    `description` is cut to 400 characters. `embedded`: it has vectors in the space that serves. `quarantine` says why
    it is hidden until it is approved, None: it is not; `changed`: it is not as it was approved; `flags` counts
    findings that nobody has dismissed.
    """

    id: int
    name: str
    exposed_name: str
    title: str | None
    description: str
    category: str
    server_id: int
    server_name: str
    server_enabled: bool
    embedded: bool
    removed_at: datetime | None
    updated_at: datetime
    quarantine: str | None
    changed: bool
    flags: int
    visibility: Visibility | None


@dataclass(frozen=True, slots=True)
class ToolPage:
    """A page of tools. `total` counts all that fit; `next` is the cursor of the next page, None on the last."""

    items: tuple[ToolListItem, ...]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class ToolSpace:
    """An embedding space in which a tool has its three vectors."""

    provider: str
    model: str
    dimensions: int
    active: bool


@dataclass(frozen=True, slots=True)
class RoleView:
    """What a role sees of a tool; `rule_id` is the rule that decided, None for the role's default."""

    role_id: int
    role: str
    visibility: Visibility
    rule_id: int | None


@dataclass(frozen=True, slots=True)
class SimilarTool:
    """A tool near in meaning; `similarity` is the cosine of their combined texts, −1…1."""

    id: int
    name: str
    exposed_name: str
    server_id: int
    server_name: str
    description: str
    similarity: float
    likely_duplicate: bool


@dataclass(frozen=True, slots=True)
class ToolDetail:
    """All of one tool; `definition` is what the upstream said, with `inputSchema` and whatever else it gave."""

    id: int
    name: str
    exposed_name: str
    title: str | None
    description: str
    category: str
    server_id: int
    server_name: str
    server_enabled: bool
    removed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    term_count: int
    definition: JsonValue
    spaces: tuple[ToolSpace, ...]
    roles: tuple[RoleView, ...]
    similar: tuple[SimilarTool, ...]


@dataclass(frozen=True, slots=True)
class ToolTrial:
    """The arguments to try a tool with."""

    arguments: Mapping[str, JsonValue] = field(default_factory=dict)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a tool answered after `milliseconds`: its untouched `result`, or the JSON-RPC error that it gave."""

    milliseconds: float
    result: JsonValue = None
    error_code: int | None = None
    error: str | None = None


class ToolService:
    """Tools of a tenant."""

    def __init__(
        self, database: Database, spaces: Spaces, servers: Servers, pool: UpstreamPool, recorder: AuditRecorder
    ) -> None:
        self._database = database
        self._spaces = spaces
        self._servers = servers
        self._pool = pool
        self._recorder = recorder

    async def list(self, tenant_id: int, query: ToolFilter) -> ToolPage:
        """A page of the tools that fit, in the order of their exposed names."""
        space = await self._active_space()
        arguments = [
            tenant_id,
            space[0],
            None if not query.text else f"%{_escape_like(query.text)}%",
            query.server_id,
            query.category,
            query.state,
            query.role_id,
            query.visibility if query.role_id is not None else None,
        ]
        async with self._database.connection() as connection:
            rows = await connection.fetch("filtered_tools_page", *arguments, query.cursor, query.limit + 1)
            total = await connection.fetchval("count_filtered_tools", *arguments)
        cards = [
            ToolListItem(**{**row, "visibility": (row["visibility"] or "DENY") if query.role_id is not None else None})
            for row in rows[: query.limit]
        ]
        more = len(rows) > query.limit
        return ToolPage(tuple(cards), total, cards[-1].exposed_name if more else None)

    async def get(self, tenant_id: int, tool_id: int) -> ToolDetail:
        """One tool. Raises NotFoundError."""
        row = await self._row(tenant_id, tool_id)
        spaces = await self._database.fetch("tool_spaces", tenant_id, tool_id)
        views = await self._database.fetch("tool_visibility_by_role", tenant_id, tool_id)
        return ToolDetail(
            **{
                **row,
                "definition": json.loads(row["definition"]),
                "spaces": tuple(ToolSpace(**each) for each in spaces),
                "roles": tuple(RoleView(**each) for each in views),
                "similar": await self._similar_tools(tenant_id, tool_id),
            }
        )

    async def _similar_tools(self, tenant_id: int, tool_id: int) -> tuple[SimilarTool, ...]:
        """The tools nearest in meaning, of whatever server; none while there are no vectors."""
        space_id, dimensions = await self._active_space()
        if not space_id:
            return ()
        rows = await self._database.fetch(
            "similar_tools", tenant_id, tool_id, _MAX_SIMILAR, space=space_id, dimensions=dimensions
        )
        return tuple(SimilarTool(**row, likely_duplicate=row["similarity"] >= _DUPLICATE_COSINE) for row in rows)

    async def call(self, tenant_id: int, tool_id: int, trial: ToolTrial) -> TrialResult:
        """Call a tool with these arguments, past all roles.

        Raises NotFoundError, ConflictError for a tool that is not there any more or whose server is switched off,
        UpstreamError where the server does not answer, and AuditUnavailableError for what has to be recorded and cannot
        be.
        """
        row = await self._row(tenant_id, tool_id)
        if row["removed_at"] is not None:
            raise ConflictError(f"{row['server_name']} no longer lists {row['name']}; sync the server if it is back.")
        if not row["server_enabled"]:
            raise ConflictError(f"{row['server_name']} is switched off; switch it on to call its tools.")
        spec = await self._servers.spec(tenant_id, row["server_id"])
        params = {"name": row["name"], "arguments": dict(trial.arguments)}
        await self._start_trial(tenant_id, row["exposed_name"], trial)
        started = time.perf_counter()
        try:
            result: Any = await self._pool.request(spec, UpstreamRequest("tools/call", params))
        except UpstreamReplyError as error:
            self._record_trial(tenant_id, row["exposed_name"], "failed", _milliseconds_since(started))
            return TrialResult(_milliseconds_since(started), error_code=error.code, error=error.message)
        except UpstreamError:
            self._record_trial(tenant_id, row["exposed_name"], "failed", _milliseconds_since(started))
            raise
        self._record_trial(tenant_id, row["exposed_name"], "ok", _milliseconds_since(started))
        return TrialResult(_milliseconds_since(started), result)

    async def _start_trial(self, tenant_id: int, name: str, trial: ToolTrial) -> None:
        """Raises AuditUnavailableError where what cannot be recorded may not be done."""
        if self._recorder.fail_closed:
            event = AuditEvent(current_actor(), "tool.tried", name, "started", tenant_id, arguments=trial.arguments)
            await self._recorder.record_durably(event)

    def _record_trial(self, tenant_id: int, name: str, outcome: Literal["ok", "failed"], milliseconds: float) -> None:
        event = AuditEvent(current_actor(), "tool.tried", name, outcome, tenant_id, milliseconds)
        self._recorder.record(event)

    async def _row(self, tenant_id: int, tool_id: int) -> Mapping[str, Any]:
        row = await self._database.fetchrow("tool_detail", tenant_id, tool_id)
        if row is None:
            raise NotFoundError(f"There is no tool {tool_id} in this tenant.")
        return dict(row)

    async def _active_space(self) -> tuple[int, int]:
        """Number and dimensions of the space that serves; zeros while there is none."""
        try:
            stored = await self._spaces.active_space()
        except EmbeddingError:
            return 0, 0
        return stored.id, stored.space.dimensions


def _escape_like(text: str) -> str:
    """`text` with nothing in it that LIKE would take for a pattern."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
