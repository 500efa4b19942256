"""What servers offer beside tools, and say of themselves: compared with what was approved, scanned, perhaps hidden."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from gateway.catalog.review.approval import ToolFlag, needs_review
from gateway.catalog.review.definition_diff import FieldChange, diff_definitions
from gateway.catalog.review.review_state import ReviewPolicy, ReviewState, next_review_state
from gateway.catalog.scan.finding import Finding
from gateway.catalog.scan.scanner import scan_texts
from gateway.catalog.tool import make_storable
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.errors import ConflictError, NotFoundError
from gateway.settings import GuardSettings
from gateway.upstream.spec import ServerSpec

OfferingKind = Literal["prompt", "template", "instructions"]
"""`instructions`: what a server says of itself, of which there is one, without a name."""

OFFERING_KINDS: tuple[OfferingKind, ...] = ("prompt", "template", "instructions")

_KEPT_UNLISTED = 1_000


@dataclass(frozen=True, slots=True)
class Offering:
    """What a server offers: its JSON as it came, under a `name` that is unique in its kind."""

    name: str
    definition: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OfferingReview:
    """An offering as an admin judges it: `changes` differ from what was approved, `flags` are what the scan has found.

    `content_hash` (hex) names what was looked at when it is approved.
    """

    server_id: int
    server: str
    kind: OfferingKind
    name: str
    content_hash: str
    changed: bool
    changes: tuple[FieldChange, ...]
    quarantine: str | None
    approved_at: datetime | None
    flags: tuple[ToolFlag, ...]
    definition: Mapping[str, Any]

    @property
    def needs_review(self) -> bool:
        """Whether it waits for an admin."""
        return needs_review(self.changed, self.quarantine, self.flags)


def offering_hash(definition: Mapping[str, Any]) -> bytes:
    """SHA-256 of an offering, independent of the order of its members."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).digest()


class Offerings:
    """Keeps what servers offer, and what people say of it."""

    def __init__(self, database: Database, guards: GuardSettings) -> None:
        self._database = database
        self._scans = guards.poisoning != "off"
        self._quarantine_findings = guards.poisoning == "quarantine"

    async def record(self, spec: ServerSpec, kind: OfferingKind, offered: Sequence[Offering]) -> bool:
        """Take down what a server offers of a kind; returns whether it is not what it was. Raises DatabaseError.

        What is offered first is approved with the server. From then on the server's `on_change` decides, as over tools.
        """
        hashes = {_name_hash(each.name): offering_hash(each.definition) for each in offered}
        before = await self._load(self._database, spec, kind)
        new = [each for each in offered if _differs(before.get(_name_hash(each.name)), hashes[_name_hash(each.name)])]
        gone = [name_hash for name_hash, row in before.items() if row["listed"] and name_hash not in hashes]
        if not new and not gone and await self._database.fetchval("has_baseline", spec.tenant_id, spec.id, kind):
            return False
        found = await asyncio.to_thread(_scan, new) if self._scans else [()] * len(new)
        async with self._database.tenant_transaction(spec.tenant_id) as transaction:
            server = await transaction.fetchrow("lock_server", spec.tenant_id, spec.id)
            if server is None:
                return False
            first = not await transaction.fetchval("has_baseline", spec.tenant_id, spec.id, kind)
            policy = ReviewPolicy(server["on_change"], first, False, self._quarantine_findings)
            before = await self._load(transaction, spec, kind)
            rows = [
                (spec.tenant_id, spec.id, kind, *_judge(each, before.get(_name_hash(each.name)), findings, policy))
                for each, findings in zip(new, found, strict=True)
            ]
            await transaction.executemany("save_offering", rows)
            await transaction.execute("unlist_offerings", spec.tenant_id, spec.id, kind, gone)
            await transaction.execute("drop_old_offerings", spec.tenant_id, spec.id, kind, _KEPT_UNLISTED)
            await transaction.execute("add_baseline", spec.tenant_id, spec.id, kind)
            await transaction.execute("bump_catalogue_version", spec.tenant_id)
        return True

    async def approve(
        self,
        tenant_id: int,
        server_id: int,
        kind: OfferingKind | None = None,
        name: str | None = None,
        content_hash: str | None = None,
    ) -> list[tuple[OfferingKind, str]]:
        """Approve what a server offers as it is now, one or all that wait; returns kinds and names.

        Raises NotFoundError, and ConflictError where it is no longer the one with `content_hash`.
        """
        async with self._database.tenant_transaction(tenant_id) as transaction:
            if await transaction.fetchrow("lock_server", tenant_id, server_id) is None:
                raise NotFoundError(f"There is no server {server_id} in this tenant.")
            wanted = None if content_hash is None else bytes.fromhex(content_hash)
            if name is not None:
                listed = await transaction.fetch("offering_reviews", tenant_id, server_id, False)
                hashes = {row["content_hash"] for row in listed if (row["kind"], row["name"]) == (kind, name)}
                if not hashes:
                    raise NotFoundError(f"The server offers no {kind} {name!r}.")
                if wanted is not None and wanted not in hashes:
                    raise ConflictError(f"{name or 'What it says of itself'} has changed since you looked at it.")
            rows = await transaction.fetch("approve_offerings", tenant_id, server_id, kind, name, wanted)
            await transaction.execute("bump_catalogue_version", tenant_id)
        return [(row["kind"], row["name"]) for row in rows]

    async def _load(
        self, statements: Database | DatabaseConnection, spec: ServerSpec, kind: OfferingKind
    ) -> dict[bytes, Row]:
        rows = await statements.fetch("offerings_of_kind", spec.tenant_id, spec.id, kind)
        return {row["name_hash"]: row for row in rows}

    async def list(
        self, tenant_id: int, server_id: int | None = None, *, waiting: bool = False
    ) -> list[OfferingReview]:
        """What a server offers, or all of them; `waiting` leaves out what waits for nobody."""
        return [
            _read_review(row) for row in await self._database.fetch("offering_reviews", tenant_id, server_id, waiting)
        ]


def _judge(
    offering: Offering, before: Row | None, findings: Sequence[Finding], policy: ReviewPolicy
) -> tuple[Any, ...]:
    """What is written of an offering, from its name on, and of how it stands."""
    content_hash = offering_hash(offering.definition)
    former = None
    if before is not None:
        former = ReviewState(before["approved_hash"], before["approved_by"], before["quarantine"])
    state = next_review_state(former, content_hash, findings, policy)
    return (
        _name_hash(offering.name),
        make_storable(offering.name),
        json.dumps(offering.definition),
        content_hash,
        state.approved_hash,
        state.approved_by,
        state.quarantine,
        make_storable([asdict(finding) for finding in findings]),
    )


def _name_hash(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="surrogatepass")).digest() if name else b""


def _differs(row: Row | None, content_hash: bytes) -> bool:
    return row is None or not row["listed"] or row["content_hash"] != content_hash


def _scan(offered: Sequence[Offering]) -> list[tuple[Finding, ...]]:
    return [scan_texts(each.definition) for each in offered]


def _read_review(row: Row) -> OfferingReview:
    changes: tuple[FieldChange, ...] = ()
    if row["changed"] and row["approved_definition"] is not None:
        changes = diff_definitions(json.loads(row["approved_definition"]), json.loads(row["definition"]))
    return OfferingReview(
        server_id=row["server_id"],
        server=row["server_name"],
        kind=row["kind"],
        name=row["name"],
        content_hash=row["content_hash"].hex(),
        changed=row["changed"],
        changes=changes,
        quarantine=row["quarantine"],
        approved_at=row["approved_at"],
        flags=tuple(ToolFlag(**flag, dismissed=row["dismissed"]) for flag in row["flags"]),
        definition=json.loads(row["definition"]),
    )
