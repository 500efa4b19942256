"""Reading the audit log: by page for people, in whole for exports."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from typing import Any

from gateway.database.pool import Database

_EXPORT_BATCH = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# What a spreadsheet would take for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One row of the audit log.

    `action` is `tool.call`, `tool.search`, or a thing and what became of it, as `role.added`. `outcome` is `ok`,
    `started`, `denied`, `unknown`, `failed`, `tool error`, `limited` or `invalid`.
    """

    at: datetime
    id: int
    actor_kind: str
    actor_id: int | None
    actor_name: str
    roles: list[str]
    address: str
    action: str
    target: str
    outcome: str
    duration_ms: float
    details: dict[str, Any]

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps({**asdict(self), "at": self.at.isoformat()}, ensure_ascii=False)

    def as_csv(self) -> str:
        """One line of CSV, with fields that a spreadsheet would run as a formula quoted by an apostrophe."""
        values = [
            self.at.isoformat(),
            *(getattr(self, name) for name in COLUMNS[1:-1]),
            json.dumps(self.details, ensure_ascii=False),
        ]
        return csv_line([" ".join(value) if isinstance(value, list) else value for value in values])


COLUMNS = tuple(field.name for field in fields(AuditRecord))


def csv_line(values: list[Any]) -> str:
    """`values` as one line of CSV (RFC 4180), without its end."""
    line = io.StringIO()
    safe = [f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value for value in values]
    csv.writer(line, lineterminator="").writerow(safe)
    return line.getvalue()


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which rows: `action` is how the action begins, `text` is part of the actor's name or of the target."""

    since: datetime | None = None
    action: str | None = None
    outcome: str | None = None
    text: str | None = None


async def read_audit_page(
    database: Database,
    tenant_id: int,
    wanted: AuditQuery,
    limit: int = 100,
    before: tuple[datetime, int] | None = None,
) -> list[AuditRecord]:
    """At most `limit` rows of a tenant, newest first; `before` is the time and id of the last row of a former page.

    Tenant 0 is the gateway as a whole.
    """
    at, row_id = before or (None, None)
    rows = await database.fetch(
        "audit_page", tenant_id, wanted.since, at, row_id, wanted.action, wanted.outcome, wanted.text, limit
    )
    return [AuditRecord(**row) for row in rows]


async def read_audit_records(
    database: Database, tenant_id: int, since: datetime | None = None, until: datetime | None = None
) -> AsyncIterator[AuditRecord]:
    """Every row of a tenant from `since` until before `until`, oldest first, read in batches."""
    at, row_id = since or _EPOCH, -1
    while True:
        rows = await database.fetch("audit_rows_after", tenant_id, at, row_id, until, _EXPORT_BATCH)
        for row in rows:
            yield AuditRecord(**row)
        if len(rows) < _EXPORT_BATCH:
            return
        at, row_id = rows[-1]["at"], rows[-1]["id"]
