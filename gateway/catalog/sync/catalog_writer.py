"""Writing an update of the catalogue in one transaction: tools, terms, vectors, reviews and the version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gateway.access.roles import refresh_visibility
from gateway.catalog.category import categorize
from gateway.catalog.category_proposal import CategoryProposals
from gateway.catalog.naming import GATEWAY_TOOLS, make_exposed_name
from gateway.catalog.review.approval import store_findings
from gateway.catalog.review.review_state import ReviewPolicy, ReviewState, next_review_state
from gateway.catalog.review.versions import write_version
from gateway.catalog.sync.sync_result import ServerReport, SyncResult
from gateway.catalog.sync.text_vectors import store_vectors
from gateway.catalog.sync.tool_terms import store_terms
from gateway.catalog.sync.update_plan import UpdatePlan, VectorPlan
from gateway.catalog.tool import ToolDefinition
from gateway.catalog.tool_override import ToolOverride
from gateway.database.connection import DatabaseConnection
from gateway.upstream.spec import ServerSpec

# Of a tool that changes all the time, older vectors are of no use.
_KEPT_EMBEDDINGS = 20


class CatalogWriter:
    """Writes what a server's tools become, with the statements of one transaction."""

    def __init__(self, transaction: DatabaseConnection, spec: ServerSpec, categories: CategoryProposals) -> None:
        self._transaction = transaction
        self._spec = spec
        self._categories = categories

    async def write(
        self, plan: UpdatePlan, report: ServerReport | None, policy: ReviewPolicy, restores: int | None
    ) -> SyncResult:
        """Carry out `plan`; `restores` is the version that it goes back to, which the server is pinned to."""
        spec, diff = self._spec, plan.diff
        ids = await self._write_tools(plan)
        wrote_vectors = await self._write_vectors(plan.vectors, ids)
        capabilities_changed = report is not None and await self.write_report(report)
        version = None
        quarantined: tuple[str, ...] = ()
        if diff:
            version = await write_version(
                self._transaction, spec.tenant_id, spec.id, plan.tools, diff, restores=restores
            )
            quarantined = await self._write_reviews(plan, ids, policy)
        if policy.first_sync and not plan.stored and plan.scan_rules is not None:
            # All that it has was scanned just now, and does not need it again.
            await self._transaction.execute(
                "set_scan_rules", spec.tenant_id, spec.id, plan.scan_rules, plan.scanned_beside
            )
        elif plan.diff and plan.scan_rules is None:
            # What was not scanned now is to be once something is again.
            await self._transaction.execute("set_scan_rules", spec.tenant_id, spec.id, None, None)
        if restores is not None:
            offered = version or await self._transaction.fetchval("newest_applied_version", spec.tenant_id, spec.id)
            await self._transaction.execute("pin_server", spec.tenant_id, spec.id, offered)
        if diff or wrote_vectors or capabilities_changed:
            await refresh_visibility(self._transaction, spec.tenant_id, server_id=spec.id)
        return SyncResult(
            server=spec.name,
            added=diff.added_names,
            changed=diff.changed_names,
            removed=diff.removed_names,
            unchanged=len(plan.tools) - len(diff.new_definitions),
            skipped=() if report is None else report.skipped,
            embedded=len(plan.vectors.embedded.vectors),
            version=version,
            quarantined=quarantined,
        )

    async def write_report(self, report: ServerReport) -> bool:
        """Write what the server said of itself; returns whether its capabilities are not what they were."""
        return bool(
            await self._transaction.fetchval(
                "record_sync",
                self._spec.tenant_id,
                self._spec.id,
                [asdict(tool) for tool in report.skipped],
                report.instructions,
                report.server_info,
                report.protocol_version,
                report.capabilities,
            )
        )

    async def _write_tools(self, plan: UpdatePlan) -> dict[str, int]:
        """Write tools and terms; returns the id of every tool by name."""
        transaction, tenant_id = self._transaction, self._spec.tenant_id
        ids = {name: tool.id for name, tool in plan.stored.items()}
        if not plan.diff:
            await self._rewrite_terms(plan, ids)
            return ids
        ids |= await self._insert_tools([tool for tool in plan.diff.added if tool.name not in plan.stored])
        for before, after in plan.diff.renamed:
            # What people say when they mean the tool has nothing to do with its name.
            if await transaction.fetchval("move_examples", tenant_id, ids[before], ids[after]):
                await transaction.execute("touch_learning", tenant_id, [ids[before], ids[after]])
        written = plan.diff.new_definitions
        updated = [tool for tool in written if tool.name in plan.stored]
        updated_ids = [ids[tool.name] for tool in updated]
        await transaction.execute("save_former_embeddings", tenant_id, updated_ids)
        await transaction.execute("drop_old_former_embeddings", tenant_id, updated_ids, _KEPT_EMBEDDINGS)
        for tool in updated:
            shown, behind = _shown(tool, plan.overrides.get(tool.name))
            await transaction.execute("update_tool", tenant_id, ids[tool.name], shown, tool.content_hash, behind)
        removed_ids = [ids[name] for name in plan.diff.removed_names]
        await transaction.execute("mark_tools_removed", tenant_id, removed_ids)
        written_ids = [ids[tool.name] for tool in written]
        texts = [plan.texts[tool.name] for tool in written]
        await transaction.execute("delete_terms", tenant_id, removed_ids)
        await store_terms(transaction, tenant_id, dict(zip(written_ids, texts, strict=True)))
        await transaction.execute("drop_stale_embeddings", tenant_id, written_ids, [text.hash for text in texts])
        await self._rewrite_terms(plan, ids)
        return ids

    async def _rewrite_terms(self, plan: UpdatePlan, ids: Mapping[str, int]) -> None:
        """Write the terms of tools that say the same as before, on a server that is now called otherwise."""
        written = {tool.name for tool in plan.diff.new_definitions}
        renamed = {name for name in (*plan.vectors.former, *plan.vectors.missing) if name not in written}
        if renamed:
            await store_terms(
                self._transaction, self._spec.tenant_id, {ids[name]: plan.texts[name] for name in sorted(renamed)}
            )

    async def _insert_tools(self, tools: Sequence[ToolDefinition]) -> dict[str, int]:
        if not tools:
            return {}
        transaction, spec = self._transaction, self._spec
        taken = {row["exposed_name"] for row in await transaction.fetch("exposed_names", spec.tenant_id)}
        taken.update(GATEWAY_TOOLS)
        ids = {}
        for tool in tools:
            name = make_exposed_name(spec.slug, tool.name, taken, spec.prefix)
            taken.add(name)
            ids[tool.name] = await transaction.fetchval(
                "insert_tool",
                spec.tenant_id,
                spec.id,
                tool.name,
                name,
                self._categorize(tool),
                tool.json,
                tool.content_hash,
            )
        return ids

    async def _write_vectors(self, plan: VectorPlan, ids: Mapping[str, int]) -> bool:
        """Write what is known of texts that had no vectors; returns whether that is anything."""
        if plan.space_id is None or not (plan.former or plan.missing):
            return False
        tenant_id = self._spec.tenant_id
        if plan.former:
            former_ids = [ids[name] for name in plan.former]
            await self._transaction.execute(
                "restore_embeddings", tenant_id, plan.space_id, former_ids, list(plan.former.values())
            )
        texts = {ids[name]: text for name, text in plan.missing.items()}
        stored = await store_vectors(self._transaction, tenant_id, plan.space_id, texts, plan.embedded)
        vectors = {tool_id: plan.embedded.vectors.get(text.combined) for tool_id, text in texts.items()}
        with_vector = {tool_id: vector for tool_id, vector in vectors.items() if vector is not None}
        await self._categories.write(self._transaction, tenant_id, plan.space_id, with_vector)
        if plan.embedded.failure is None:
            # What has vectors of former texts gets others as soon as there is time; while the embedder is down, these
            # are better than none.
            late = [tool_id for tool_id, text in texts.items() if not plan.embedded.reached(text.combined)]
            await self._transaction.execute("drop_embeddings", tenant_id, plan.space_id, late)
        return bool(plan.former) or stored > 0

    async def _write_reviews(self, plan: UpdatePlan, ids: Mapping[str, int], policy: ReviewPolicy) -> tuple[str, ...]:
        """Write what is held against the definitions that are new; returns the tools that are quarantined."""
        transaction, tenant_id, tools = self._transaction, self._spec.tenant_id, plan.diff.new_definitions
        if not tools:
            return ()
        # Read now: an admin may have approved or quarantined a tool since the plan was made.
        rows = await transaction.fetch("review_states", tenant_id, self._spec.id)
        before = {row["id"]: ReviewState(row["approved_hash"], row["approved_by"], row["quarantine"]) for row in rows}
        states = {
            tool.name: next_review_state(
                before[ids[tool.name]] if tool.name in plan.stored else None,
                tool.content_hash,
                plan.findings.get(tool.name, ()),
                policy,
            )
            for tool in tools
        }
        await transaction.executemany(
            "set_review_state",
            [
                (tenant_id, ids[name], state.approved_hash, state.approved_by, state.quarantine)
                for name, state in states.items()
            ],
        )
        await store_findings(
            transaction,
            tenant_id,
            [
                (
                    ids[tool.name],
                    plan.findings.get(tool.name, ()),
                    states[tool.name].approver_of(tool.content_hash) == "person",
                )
                for tool in tools
            ],
        )
        return tuple(name for name, state in states.items() if state.quarantine is not None)

    def _categorize(self, tool: ToolDefinition) -> str:
        return categorize(self._spec.name, tool.name, tool.description)


def _shown(tool: ToolDefinition, override: ToolOverride | None) -> tuple[str, str | None]:
    """The definition that clients see, and what the server says where that is something else."""
    if override is None or not override.changes_definition:
        return tool.json, None
    return override.apply(tool).json, tool.json
