"""Approval of tools that are new, have changed, or were flagged: what admins see and say of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.access.roles import refresh_visibility
from gateway.catalog.review.definition_diff import FieldChange, diff_definitions
from gateway.catalog.review.review_state import HIDDEN_BY_ADMIN, ON_CHANGE_POLICIES
from gateway.catalog.scan.finding import Finding, Severity
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError


@dataclass(frozen=True, slots=True)
class ToolFlag:
    """A finding in a tool's definition, `dismissed` where an admin has approved the tool with it."""

    rule: str
    place: str
    severity: Severity
    excerpt: str
    reason: str
    dismissed: bool


def needs_review(changed: bool, quarantine: str | None, flags: Sequence[ToolFlag]) -> bool:
    """Whether an admin has to look at something: it is not as it was approved, hidden, or flagged."""
    return changed or quarantine is not None or any(not flag.dismissed for flag in flags)


@dataclass(frozen=True, slots=True)
class ToolReview:
    """A tool as an admin judges it.

    `changes` are the fields that differ from what was approved, `flags` what the scan has found. `content_hash` (hex)
    names what was looked at when it is approved.
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
    flags: tuple[ToolFlag, ...]

    @property
    def needs_review(self) -> bool:
        """Whether it waits for an admin."""
        return needs_review(self.changed, self.quarantine, self.flags)


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
        async with self._database.tenant_transaction(tenant_id) as transaction:
            rows = await self._lock_tools(transaction, tenant_id, server_id, tool)
            if content_hash is not None and any(row["content_hash"].hex() != content_hash for row in rows):
                raise ConflictError(f"{tool} has changed since you looked at it; look at it again.")
            ids = [row["id"] for row in rows]
            await transaction.execute("save_approved_definitions", tenant_id, ids)
            await transaction.execute("approve_tools", tenant_id, ids)
            await transaction.execute("dismiss_flags", tenant_id, ids)
            await refresh_visibility(transaction, tenant_id, server_id=server_id)
        return [row["name"] for row in rows]

    async def quarantine(self, tenant_id: int, server_id: int, tool: str) -> None:
        """Hide a tool from every client until it is approved. Raises NotFoundError."""
        async with self._database.tenant_transaction(tenant_id) as transaction:
            for row in await self._lock_tools(transaction, tenant_id, server_id, tool):
                await transaction.execute("quarantine_tool", tenant_id, row["id"], HIDDEN_BY_ADMIN)
            await refresh_visibility(transaction, tenant_id, server_id=server_id)

    async def set_on_change(self, tenant_id: int, server_id: int, on_change: str) -> None:
        """Say what happens to tools of a server that are not as they were approved. Raises NotFoundError."""
        if on_change not in ON_CHANGE_POLICIES:
            raise InvalidInputError(
                f"on_change has to be one of {', '.join(ON_CHANGE_POLICIES)}, not {on_change[:60]!r}.", "on_change"
            )
        if not await self._database.execute("set_on_change", tenant_id, server_id, on_change):
            raise NotFoundError(f"There is no server {server_id} in this tenant.")

    async def _lock_tools(
        self, transaction: DatabaseConnection, tenant_id: int, server_id: int, tool: str | None
    ) -> Sequence[Row]:
        """The tools of a server that wait, or the one of this name; no sync changes them until the transaction ends."""
        await transaction.fetchrow("lock_server", tenant_id, server_id)
        rows = await transaction.fetch("tool_reviews", tenant_id, server_id, tool, tool is None)
        if tool is not None and not rows:
            raise NotFoundError(f"The server has no tool {tool!r}.")
        # One tool may be exposed under the name that another one has by itself.
        return [row for row in rows if row["name"] == tool] or rows

    async def list(
        self, tenant_id: int, server_id: int | None = None, *, tool: str | None = None, waiting: bool = False
    ) -> list[ToolReview]:
        """The tools of a server, or of all; `waiting` leaves out those that wait for nobody."""
        return [
            _read_review(row) for row in await self._database.fetch("tool_reviews", tenant_id, server_id, tool, waiting)
        ]


async def store_findings(
    transaction: DatabaseConnection, tenant_id: int, findings: Sequence[tuple[int, Sequence[Finding], bool]]
) -> None:
    """Write what was found, by tool id, in place of what was found before; the last says whether it is known."""
    await transaction.execute("delete_flags", tenant_id, [tool_id for tool_id, _, _ in findings], None)
    rows = [
        (tenant_id, tool_id, found.rule, found.place, found.severity, found.excerpt, found.reason, known)
        for tool_id, of_tool, known in findings
        for found in of_tool
    ]
    if rows:
        await transaction.executemany("insert_flag", rows)


async def store_known_findings(
    transaction: DatabaseConnection,
    tenant_id: int,
    findings: Sequence[tuple[int, Sequence[Finding], Mapping[tuple[str, str], bool]]],
    rules: Sequence[str] | None,
) -> None:
    """Write what was found, by tool id, in place of what was found before by `rules`, None for all: of each rule and
    place, whether an admin has approved the tool with that.
    """
    await transaction.execute("delete_flags", tenant_id, [tool_id for tool_id, _, _ in findings], rules)
    for tool_id, found, before in findings:
        rows = [
            (
                *(tenant_id, tool_id, each.rule, each.place, each.severity, each.excerpt, each.reason),
                before.get((each.rule, each.place), False),
            )
            for each in found
        ]
        if rows:
            await transaction.executemany("insert_flag", rows)


def _read_review(row: Row) -> ToolReview:
    changes: tuple[FieldChange, ...] = ()
    if row["approved_definition"] is not None:
        changes = diff_definitions(json.loads(row["approved_definition"]), json.loads(row["definition"]))
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
        flags=tuple(ToolFlag(**flag) for flag in row["flags"]),
    )
