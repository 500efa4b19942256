"""Taking a server's tools into the catalogue, all of it in one transaction or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gateway.access.roles import refresh_visibility
from gateway.catalog.category_proposal import CategoryProposals
from gateway.catalog.review.review_state import ReviewPolicy
from gateway.catalog.review.tool_list_diff import diff_tool_lists
from gateway.catalog.review.versions import load_version_tools, write_version
from gateway.catalog.scan.rules_version import scan_rules_version
from gateway.catalog.sync.catalog_writer import CatalogWriter
from gateway.catalog.sync.sync_result import ServerReport, SyncResult
from gateway.catalog.sync.text_vectors import OnEmbedded, TextVectors
from gateway.catalog.sync.update_plan import UpdatePlan, UpdatePlanner, load_overrides
from gateway.catalog.tool import ToolDefinition
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import NotFoundError
from gateway.settings import GuardSettings
from gateway.upstream.spec import ServerSpec


class CatalogUpdate:
    """Brings the catalogue to a list of definitions: what can be prepared first, then one transaction."""

    def __init__(
        self,
        database: Database,
        spaces: Spaces,
        categories: CategoryProposals,
        guards: GuardSettings,
        embed_seconds: float = math.inf,
    ) -> None:
        """What is not embedded after `embed_seconds` is left to whoever fills in vectors."""
        self._database = database
        self._spaces = spaces
        self._categories = categories
        self._quarantine_findings = guards.poisoning == "quarantine"
        rules = None if guards.poisoning == "off" else scan_rules_version(quarantines=self._quarantine_findings)
        self._planner = UpdatePlanner(database, spaces, scan_rules=rules, embed_seconds=embed_seconds)

    async def apply(
        self,
        spec: ServerSpec,
        tools: Sequence[ToolDefinition],
        report: ServerReport | None,
        on_embedded: OnEmbedded | None = None,
        *,
        restores: int | None = None,
    ) -> SyncResult:
        """Make `tools` those of the server. The caller sees to it that nobody else does so at the same time.

        `restores` is the version that they are taken from, which the server is pinned to from then on; without it they
        are what the server lists, which a pinned server keeps a record of and no more. Raises DatabaseError, and
        NotFoundError for a server that was removed.
        """
        server = await _lock_server(self._database, spec)
        if restores is None and server["pinned_version"] is not None:
            return await self._record_listing(spec, tools, report, server)
        while True:
            plan = await self._planner.plan(spec, tools, on_embedded)
            if plan.vectors.space_id is not None and plan.vectors.missing:
                await self._categories.prepare(plan.vectors.space_id, self._spaces.embed_each)
            result = await self._carry_out(spec, plan, report, restores)
            if result is not None:
                return replace(result, notice=_notice(plan.vectors.embedded))

    async def _carry_out(
        self, spec: ServerSpec, plan: UpdatePlan, report: ServerReport | None, restores: int | None
    ) -> SyncResult | None:
        """Write what is planned; None where an admin has overridden something meanwhile: other texts are right then."""
        async with self._database.tenant_transaction(spec.tenant_id) as transaction:
            server = await _lock_server(transaction, spec)
            if await load_overrides(transaction, spec) != plan.overrides:
                return None
            policy = ReviewPolicy(
                on_change=server["on_change"],
                first_sync=server["never_synced"],
                rollback=restores is not None,
                quarantine_findings=self._quarantine_findings,
            )
            return await CatalogWriter(transaction, spec, self._categories).write(plan, report, policy, restores)

    async def _record_listing(
        self, spec: ServerSpec, tools: Sequence[ToolDefinition], report: ServerReport | None, server: Row
    ) -> SyncResult:
        """Keep a record of what a pinned server lists, where it is not what it listed last."""
        before = await load_version_tools(self._database, spec.tenant_id, spec.id, server["newest"])
        diff = diff_tool_lists(before, tools)
        version = None
        async with self._database.tenant_transaction(spec.tenant_id) as transaction:
            if diff:
                version = await write_version(transaction, spec.tenant_id, spec.id, tools, diff, applied=False)
            if report is not None and await CatalogWriter(transaction, spec, self._categories).write_report(report):
                await refresh_visibility(transaction, spec.tenant_id, server_id=spec.id)
        notice = f"It is pinned to version {server['pinned_version']}, which stays offered"
        notice += f"; what it lists now is kept as version {version}." if version else "."
        return SyncResult(
            server=spec.name,
            unchanged=len(tools),
            skipped=() if report is None else report.skipped,
            version=version,
            notice=notice,
        )


def _notice(embedded: TextVectors) -> str:
    if embedded.failure is not None:
        reason = embedded.failure.message
        return f"Stored without vectors, which follow as soon as the embedder answers: {reason}"
    if embedded.refused:
        reason = "; ".join(sorted(set(embedded.refused.values())))
        texts = "1 text" if len(embedded.refused) == 1 else f"{len(embedded.refused)} texts"
        return f"The embedder refuses {texts} of these tools, which go by the others and by words: {reason}"
    return ""


async def _lock_server(statements: Database | DatabaseConnection, spec: ServerSpec) -> Row:
    """What decides over a server's tools; inside of a transaction it stays so until that ends. Raises NotFoundError."""
    server = await statements.fetchrow("lock_server", spec.tenant_id, spec.id)
    if server is None:
        raise NotFoundError(f"There is no server {spec.id} in this tenant.")
    return server
