"""Scanning what is stored anew where other rules were in force, or there were other servers, when it was scanned."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.access.roles import refresh_visibility
from gateway.catalog.review.approval import store_known_findings
from gateway.catalog.review.review_state import ReviewPolicy, ReviewState, next_review_state
from gateway.catalog.review.tenant_tools import load_tenant_tools
from gateway.catalog.scan.finding import Finding
from gateway.catalog.scan.other_tools import SHADOWS, STEERS, OtherTools, ScannedServer
from gateway.catalog.scan.rules_version import scan_rules_version
from gateway.catalog.scan.scanner import scan_definitions, scan_texts
from gateway.catalog.tool import make_storable
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.notices import Notice, Notices
from gateway.database.pool import Database
from gateway.errors import ModelGateError
from gateway.settings import GuardSettings

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0
# Servers are often changed one after the other, and each may change what is held against the tools of all others.
_PAUSE_SECONDS = 30.0
_LEAST_PAUSE = 20.0
"""The pause after a renewal, in times of what it took."""

_BESIDE_OTHERS = (SHADOWS, STEERS)


@dataclass(frozen=True, slots=True)
class _Scan:
    """What is stored of a server, and what was found in it, in the same order, by `rules`, None for all."""

    rules: Sequence[str] | None
    tools: Sequence[Row]
    tool_findings: Sequence[Sequence[Finding]]
    offerings: Sequence[Row]
    offering_findings: Sequence[Sequence[Finding]]


class ScanRenewal:
    """Brings flags to what the rules of this version find beside the servers that there are, without waiting for a
    server to change something.
    """

    def __init__(
        self, database: Database, guards: GuardSettings, notices: Notices, pause_seconds: float = _PAUSE_SECONDS
    ) -> None:
        self._database = database
        self._scans = guards.poisoning != "off"
        self._quarantine_findings = guards.poisoning == "quarantine"
        self._version = scan_rules_version(quarantines=self._quarantine_findings)
        self._pause_seconds = pause_seconds
        self._changed = asyncio.Event()
        notices.subscribe(self._on_notice)

    async def run(self) -> None:
        """Until cancelled; a database that is down is tried again later."""
        while self._scans:
            self._changed.clear()
            started = time.monotonic()
            try:
                changed = await self.renew()
            except ModelGateError as error:
                logger.info("What is stored is scanned anew later: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if changed:
                logger.warning(
                    "What the scan holds against tools and prompts has changed for %d of them.",
                    changed,
                )
            await self._changed.wait()
            await asyncio.sleep(max(self._pause_seconds, _LEAST_PAUSE * (time.monotonic() - started)))

    async def renew(self) -> int:
        """Scan the tools and offerings of each server whose scan is of before, a server at a time; returns how many
        have other flags now.
        """
        changed = 0
        servers = await self._database.fetch("servers_scanned_otherwise", self._version)
        for tenant_id, of_tenant in itertools.groupby(servers, lambda server: server["tenant_id"]):
            # There may be many, and calls of others go on meanwhile.
            others = await asyncio.to_thread(OtherTools, await load_tenant_tools(self._database, tenant_id))
            for server in of_tenant:
                scan = await self._scan(server, others)
                async with self._database.tenant_transaction(tenant_id) as transaction:
                    locked = await transaction.fetchrow("lock_server", tenant_id, server["id"])
                    if locked is not None:
                        # What another server does hides no tool of this one.
                        hides = self._quarantine_findings and server["other_rules"]
                        policy = ReviewPolicy(locked["on_change"], False, False, hides)
                        changed += await self._write(transaction, server, scan, policy)
        return changed

    def _on_notice(self, notice: Notice) -> None:
        if notice.concerns_catalogue:
            self._changed.set()

    async def _scan(self, server: Row, others: OtherTools) -> _Scan:
        tenant_id, server_id = server["tenant_id"], server["id"]
        rules = None if server["other_rules"] else _BESIDE_OTHERS
        tools = await self._database.fetch("scanned_tools", tenant_id, server_id)
        offerings = await self._database.fetch("scanned_offerings", tenant_id, server_id) if rules is None else []
        found, offered = await asyncio.to_thread(_find, server, tools, offerings, others)
        return _Scan(rules, tools, found, offerings, offered)

    async def _write(self, transaction: DatabaseConnection, server: Row, scan: _Scan, policy: ReviewPolicy) -> int:
        """Write what is found otherwise than before, in what is still what was scanned."""
        tenant_id, server_id = server["tenant_id"], server["id"]
        changed = await self._write_tools(transaction, tenant_id, server_id, scan, policy)
        changed += await self._write_offerings(transaction, tenant_id, server_id, scan, policy)
        await transaction.execute("set_scan_rules", tenant_id, server_id, self._version, server["beside"])
        if changed:
            await refresh_visibility(transaction, tenant_id, server_id=server_id)
        return changed

    async def _write_tools(
        self, transaction: DatabaseConnection, tenant_id: int, server_id: int, scan: _Scan, policy: ReviewPolicy
    ) -> int:
        hashes = {row["id"]: row["content_hash"] for row in scan.tools}
        current = {row["id"]: row for row in await transaction.fetch("scanned_tools", tenant_id, server_id)}
        known: dict[int, dict[tuple[str, str], bool]] = {}
        reasons: dict[int, set[tuple[str, str, str]]] = {}
        for flag in await transaction.fetch("flags_of_server", tenant_id, server_id):
            if scan.rules is None or flag["rule"] in scan.rules:
                known.setdefault(flag["tool_id"], {})[flag["rule"], flag["place"]] = flag["dismissed"]
                reasons.setdefault(flag["tool_id"], set()).add((flag["rule"], flag["place"], flag["reason"]))
        changed: list[tuple[int, Sequence[Finding], Mapping[tuple[str, str], bool]]] = []
        for tool_id, findings in zip(hashes, scan.tool_findings, strict=True):
            row = current.get(tool_id)
            if row is None or row["content_hash"] != hashes[tool_id]:
                continue
            before, state = _state(row), _judge(row, findings, policy)
            if state == before and _reasons(findings) == reasons.get(tool_id, set()):
                continue
            changed.append((tool_id, findings, known.get(tool_id, {})))
            await transaction.execute(
                "set_review_state", tenant_id, tool_id, state.approved_hash, state.approved_by, state.quarantine
            )
        await store_known_findings(transaction, tenant_id, changed, scan.rules)
        return len(changed)

    async def _write_offerings(
        self, transaction: DatabaseConnection, tenant_id: int, server_id: int, scan: _Scan, policy: ReviewPolicy
    ) -> int:
        key = ("kind", "name_hash", "content_hash")
        rows = await transaction.fetch("scanned_offerings", tenant_id, server_id)
        current = {tuple(row[name] for name in key): row for row in rows}
        changed = 0
        for scanned, findings in zip(scan.offerings, scan.offering_findings, strict=True):
            row = current.get(tuple(scanned[name] for name in key))
            flags = make_storable([asdict(finding) for finding in findings])
            if row is None or row["flags"] == flags:
                continue
            changed += 1
            state = _judge(row, findings, policy)
            await transaction.execute(
                "set_offering_findings",
                tenant_id,
                server_id,
                row["kind"],
                row["name_hash"],
                flags,
                state.approved_by,
                state.quarantine,
            )
        return changed


def _definitions(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [json.loads(row["definition"]) for row in rows]


def _find(
    server: Row, tools: Sequence[Row], offerings: Sequence[Row], others: OtherTools
) -> tuple[list[tuple[Finding, ...]], list[tuple[Finding, ...]]]:
    """What is found in the tools and the offerings of a server."""
    definitions = _definitions(tools)
    scanned = ScannedServer(server["id"], {tool["name"] for tool in definitions}, server["prefix"] != "")
    ids = [row["id"] for row in tools]
    found = scan_definitions(definitions, ids, scanned, others, beside_others_only=not server["other_rules"])
    return found, [scan_texts(each) for each in _definitions(offerings)]


def _reasons(findings: Sequence[Finding]) -> set[tuple[str, str, str]]:
    return {(finding.rule, finding.place, finding.reason) for finding in findings}


def _state(row: Row) -> ReviewState:
    return ReviewState(row["approved_hash"], row["approved_by"], row["quarantine"])


def _judge(row: Row, findings: Sequence[Finding], policy: ReviewPolicy) -> ReviewState:
    """How a definition stands, of which nothing is new but what is found: that can hide it, and never shows it."""
    before = _state(row)
    if not policy.quarantine_findings or not any(finding.is_serious for finding in findings):
        return before
    return next_review_state(before, row["content_hash"], findings, policy)
