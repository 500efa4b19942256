"""What people do with tools: look for them, and look at one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from gateway.access.roles import Visibility
from gateway.admin.request_input import FORBID_EXTRA
from gateway.catalog.similarity.similar_tools import SimilarTool, SimilarTools
from gateway.catalog.tool_state import ToolState
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.database.queries import escape_like
from gateway.errors import InvalidInputError, NotFoundError

_MAX_SIMILAR = 8

ToolSort = Literal["name", "server", "category", "changed"]
Category = Literal["messaging", "file-system", "database", "api", "git", "calendar", "shell", "search", "other"]


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Which tools, and which page of them. `visibility` is that for `role_id`, and needs it.

    `cursor` is the `next` of the page before, in the same `sort`.
    """

    text: Annotated[str, Field(max_length=200)] | None = None
    server_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    category: Category | None = None
    state: ToolState = "present"
    role_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    visibility: Visibility | None = None
    sort: ToolSort = "name"
    cursor: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ToolListItem:
    """A tool as a list shows it; `visibility` is that for the role asked about, None where none was.

    `description` is cut to 400 characters. `embedded`: it has vectors in the space that serves. `quarantine` says why
    it is hidden until it is approved, None: it is not; `changed`: it is not as it was approved; `flags` counts
    findings that nobody has dismissed. `pinned`: a rule about this very tool lists it to everybody of a role.
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
    disabled_at: datetime | None
    overridden: bool
    pinned: bool
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
    """What a role sees of a tool; `rule_id` is the rule that decided, None for the role's default.

    `tool_rule` is what a rule about this very tool says, None where there is none.
    """

    role_id: int
    role: str
    visibility: Visibility
    rule_id: int | None
    tool_rule: Visibility | None


@dataclass(frozen=True, slots=True)
class ToolDetail:
    """All of one tool; `definition` is what clients see, with `inputSchema` and whatever else the server gave.

    `upstream_definition`, `generated_name` and `default_category` are what it is without an override,
    `proposed_category` what the embedder finds nearest.
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
    removed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    term_count: int
    disabled_at: datetime | None
    generated_name: str
    default_category: str
    proposed_category: str | None
    definition: JsonValue
    upstream_definition: JsonValue
    spaces: tuple[ToolSpace, ...]
    roles: tuple[RoleView, ...]
    similar: tuple[SimilarTool, ...]


class ToolService:
    """Tools of a tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._similar = SimilarTools(database)

    async def list(self, tenant_id: int, query: ToolFilter) -> ToolPage:
        """A page of the tools that fit. Raises InvalidInputError for a cursor that is none."""
        arguments = [
            tenant_id,
            None if not query.text else f"%{escape_like(query.text)}%",
            query.server_id,
            query.category,
            query.state,
            query.role_id,
            query.visibility if query.role_id is not None else None,
        ]
        async with self._database.connection() as connection:
            after = _read_cursor(query.cursor)
            rows = await connection.fetch(
                "filtered_tools_page", *arguments, after[0], query.limit + 1, after[1], query.sort
            )
            total = await connection.fetchval("count_filtered_tools", *arguments)
        shown = rows[: query.limit]
        more = len(rows) > query.limit
        return ToolPage(
            tuple(_list_item(row, of_role=query.role_id is not None) for row in shown),
            total,
            _write_cursor(shown[-1]["sort_key"], shown[-1]["exposed_name"]) if more else None,
        )

    async def get(self, tenant_id: int, tool_id: int) -> ToolDetail:
        """One tool. Raises NotFoundError."""
        row = await tool_row(self._database, tenant_id, tool_id)
        spaces = await self._database.fetch("tool_spaces", tenant_id, tool_id)
        views = await self._database.fetch("tool_visibility_by_role", tenant_id, tool_id)
        return ToolDetail(
            **{
                **row,
                "definition": json.loads(row["definition"]),
                "upstream_definition": json.loads(row["upstream_definition"]),
                "spaces": tuple(ToolSpace(**each) for each in spaces),
                "roles": tuple(RoleView(**each) for each in views),
                "similar": await self._similar.nearest(tenant_id, tool_id, _MAX_SIMILAR),
            }
        )


async def tool_row(database: Database, tenant_id: int, tool_id: int) -> Mapping[str, Any]:
    """The tool and its server, as `tool_detail` reads them. Raises NotFoundError."""
    row = await database.fetchrow("tool_detail", tenant_id, tool_id)
    if row is None:
        raise NotFoundError(f"There is no tool {tool_id} in this tenant.")
    return dict(row)


def _list_item(row: Row, *, of_role: bool) -> ToolListItem:
    values = {name: value for name, value in row.items() if name != "sort_key"}
    return ToolListItem(**{**values, "visibility": (row["visibility"] or "DENY") if of_role else None})


def _write_cursor(sort_key: str, exposed_name: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort_key, exposed_name]).encode()).decode()


def _read_cursor(cursor: str | None) -> tuple[str | None, str | None]:
    if cursor is None:
        return None, None
    try:
        sort_key, exposed_name = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if isinstance(sort_key, str) and isinstance(exposed_name, str):
            return sort_key, exposed_name
    except ValueError:
        pass
    raise InvalidInputError("cursor is none that a page of tools gave.", "cursor")
