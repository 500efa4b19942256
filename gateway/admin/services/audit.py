"""The audit log: everything that was done, by page and in whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, JsonValue

from gateway.admin.request_input import FORBID_EXTRA
from gateway.audit.reader import COLUMNS, AuditQuery, AuditRecord, csv_line, read_audit_page, read_audit_records
from gateway.database.pool import Database
from gateway.errors import InvalidInputError

GATEWAY_TENANT = 0
"""The tenant under which the audit log keeps what concerns the gateway as a whole."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows, and which page of them. `action` is how the action begins, as `server` or `tool.call`.

    `text` is part of the actor's name or of the target; `cursor` is the `next` of the page before.
    """

    since: AwareDatetime | None = None
    action: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    outcome: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    cursor: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """What span, and in which form: one JSON object a line, or CSV with a head."""

    format: Literal["jsonl", "csv"] = "jsonl"
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what to which thing, how that went, and how long it took."""

    at: datetime
    id: int
    actor_kind: str
    actor_id: int | None
    actor_name: str
    roles: tuple[str, ...]
    address: str
    action: str
    target: str
    outcome: str
    duration_ms: float
    details: JsonValue


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows, newest first; `next` is the cursor of the next page, None on the last."""

    items: tuple[AuditRow, ...]
    next: str | None


class AuditService:
    """Reads the audit log of a tenant, or of the gateway as a whole (tenant 0)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, tenant_id: int, query: AuditFilter) -> AuditPage:
        """A page of the audit log. Raises InvalidInputError for a cursor of something else."""
        criteria = AuditQuery(query.since, query.action, query.outcome, query.text)
        rows = await read_audit_page(self._database, tenant_id, criteria, query.limit + 1, parse_cursor(query.cursor))
        items = tuple(_audit_row(row) for row in rows[: query.limit])
        more = len(rows) > query.limit
        return AuditPage(items, f"{items[-1].at.isoformat()}/{items[-1].id}" if more else None)

    async def export(self, tenant_id: int, query: ExportFilter) -> AsyncIterator[str]:
        """The audit log of a span, line by line with their ends, oldest first."""
        if query.format == "csv":
            yield csv_line(list(COLUMNS)) + "\r\n"
        async for row in read_audit_records(self._database, tenant_id, query.since, query.until):
            yield f"{row.as_csv()}\r\n" if query.format == "csv" else f"{row.as_json()}\n"


def parse_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    """The moment and id in the cursor of a page of rows. Raises InvalidInputError."""
    if cursor is None:
        return None
    at, _, row_id = cursor.partition("/")
    try:
        moment, number = datetime.fromisoformat(at), int(row_id)
    except ValueError:
        raise InvalidInputError("cursor has to be the next of a page.", "cursor") from None
    if moment.tzinfo is None or not 0 <= number < 2**63:
        raise InvalidInputError("cursor has to be the next of a page.", "cursor")
    return moment, number


def _audit_row(row: AuditRecord) -> AuditRow:
    return AuditRow(
        row.at,
        row.id,
        row.actor_kind,
        row.actor_id,
        row.actor_name,
        tuple(row.roles),
        row.address,
        row.action,
        row.target,
        row.outcome,
        row.duration_ms,
        row.details,
    )
