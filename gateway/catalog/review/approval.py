"""Approval of tools: what becomes of a tool that is new, has changed, or was flagged, and what admins say to that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gateway.access.roles import refresh_visibility
from gateway.catalog.review.difference import FieldChange, difference
from gateway.catalog.scan.finding import Finding
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

OnChange = Literal["accept", "flag", "quarantine"]
ON_CHANGE: tuple[OnChange, ...] = ("accept", "flag", "quarantine")

NEW = "It is new, and new tools of this server wait for approval."
CHANGED = "It has changed since it was approved."
BY_HAND = "An admin has put it here."
SCAN = "The scan found: "


@dataclass(frozen=True, slots=True)
class ReviewState:
    """What is held against a tool: the hash approved, whether an admin approved that, and why it is quarantined."""

    approved_hash: bytes | None = None
    by_hand: bool = False
    quarantine: str | None = None


def judge(
    before: ReviewState | None,
    content_hash: bytes,
    findings: Sequence[Finding],
    *,
    on_change: OnChange,
    first: bool,
    restored: bool,
    quarantine_findings: bool,
) -> ReviewState:
    """How a tool stands with the definition that it has now.

    `before` is None for a tool never seen; `first` says that the server is synced for the first time, which its admin
    has just added; `restored` that an admin went back to this definition.
    """
    if before is not None and before.quarantine == BY_HAND:
        return before
    approved, by_hand, quarantine = (
        (None, False, None) if before is None else (before.approved_hash, before.by_hand, None)
    )
    if restored:
        approved, by_hand = content_hash, True
    elif approved != content_hash:
        if (before is None and first) or on_change == "accept" or (before is None and on_change == "flag"):
            approved, by_hand = content_hash, False
        elif on_change == "quarantine":
            quarantine = NEW if before is None else CHANGED
    rules = list(dict.fromkeys(finding.rule for finding in findings if finding.counts))
    if rules and quarantine_findings and not (by_hand and approved == content_hash):
        quarantine = f"{SCAN}{', '.join(rules)}."
    return ReviewState(approved, by_hand, quarantine)


@dataclass(frozen=True, slots=True)
class ToolReview:
    """A tool as an admin judges it.

    `changes` are the fields that differ from what was approved, `flags` the findings, each with whether an admin has
    `dismissed` it. `content_hash` (hex) names what was looked at when it is approved.
    """

    id: int
    server_id: int
    server: str
    name: str
    exposed_name: str
    content_hash: str
    changed: bool
    changes: tuple[FieldChange, ...]
    quarantine: str | None
    approved_at: datetime | None
    flags: tuple[dict[str, Any], ...]

    @property
    def wanted(self) -> bool:
        """Whether it waits for an admin."""
        return self.changed or self.quarantine is not None or any(not flag["dismissed"] for flag in self.flags)


class Approvals:
    """What admins see and say of tools."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def approve(
        self, tenant_id: int, server_id: int, tool: str | None = None, content_hash: str | None = None
    ) -> list[str]:
        """Approve a tool of a server as it is now, or all that wait; returns their names.

        From then on it is offered again, and its flags are known. Raises NotFoundError, and ConflictError where the
        tool is no longer the one with `content_hash`.
        """
        async with self._database.transaction() as transaction:
            rows = await self._there(transaction, tenant_id, server_id, tool)
            if content_hash is not None and any(row["content_hash"].hex() != content_hash for row in rows):
                raise ConflictError(f"{tool} has changed since you looked at it; look at it again.")
            ids = [row["id"] for row in rows if _standing(row).wanted or tool is not None]
            await transaction.execute("keep_approved_definitions", tenant_id, ids)
            await transaction.execute("approve_tools", tenant_id, ids)
            await transaction.execute("dismiss_flags", tenant_id, ids)
            await refresh_visibility(transaction, tenant_id, server_id=server_id)
        return [row["name"] for row in rows if row["id"] in ids]

    async def quarantine(self, tenant_id: int, server_id: int, tool: str) -> None:
        """Hide a tool from every client until it is approved. Raises NotFoundError."""
        async with self._database.transaction() as transaction:
            for row in await self._there(transaction, tenant_id, server_id, tool):
                await transaction.execute("quarantine_tool", tenant_id, row["id"], BY_HAND)
            await refresh_visibility(transaction, tenant_id, server_id=server_id)

    async def set_on_change(self, tenant_id: int, server_id: int, on_change: str) -> None:
        """Say what happens to tools of a server that are not as they were approved. Raises NotFoundError."""
        if on_change not in ON_CHANGE:
            raise InvalidInputError(
                f"on_change has to be one of {', '.join(ON_CHANGE)}, not {on_change[:60]!r}.", "on_change"
            )
        if not await self._database.execute("set_on_change", tenant_id, server_id, on_change):
            raise NotFoundError(f"There is no server {server_id} in this tenant.")

    async def _there(
        self, transaction: DatabaseConnection, tenant_id: int, server_id: int, tool: str | None
    ) -> Sequence[Row]:
        rows = await transaction.fetch("tool_standings", tenant_id, server_id, tool, False)
        if tool is not None and not rows:
            raise NotFoundError(f"The server has no tool {tool!r}.")
        return rows

    async def list(
        self, tenant_id: int, server_id: int | None = None, *, tool: str | None = None, wanted: bool = False
    ) -> list[ToolReview]:
        """The tools of a server, or of all; `wanted` leaves out those that wait for nobody."""
        return [
            _standing(row) for row in await self._database.fetch("tool_standings", tenant_id, server_id, tool, wanted)
        ]


async def store_findings(
    transaction: DatabaseConnection, tenant_id: int, findings: Sequence[tuple[int, Sequence[Finding], bool]]
) -> None:
    """Write what was found, by tool id, in place of what was found before; the last says whether it is known."""
    await transaction.execute("delete_flags", tenant_id, [tool_id for tool_id, _, _ in findings])
    rows = [
        (tenant_id, tool_id, found.rule, found.place, found.severity, found.excerpt, found.reason, known)
        for tool_id, of_tool, known in findings
        for found in of_tool
    ]
    if rows:
        await transaction.executemany("insert_flag", rows)


def _standing(row: Row) -> ToolReview:
    changes: tuple[FieldChange, ...] = ()
    if row["approved_definition"] is not None:
        changes = difference(json.loads(row["approved_definition"]), json.loads(row["definition"]))
    return ToolReview(
        id=row["id"],
        server_id=row["server_id"],
        server=row["server_name"],
        name=row["name"],
        exposed_name=row["exposed_name"],
        content_hash=row["content_hash"].hex(),
        changed=row["changed"],
        changes=changes,
        quarantine=row["quarantine"],
        approved_at=row["approved_at"],
        flags=tuple(row["flags"]),
    )
