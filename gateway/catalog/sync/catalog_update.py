"""Taking a server's tools into the catalogue: tools, vectors, terms, version and what is held against them, at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.access.roles import refresh_visibility
from gateway.catalog.category import categorize
from gateway.catalog.naming import GATEWAY_TOOLS, make_exposed_name
from gateway.catalog.review.approval import store_findings
from gateway.catalog.review.review_state import ReviewPolicy, ReviewState, next_review_state
from gateway.catalog.review.versions import VersionDifference, compare_versions, write_version
from gateway.catalog.scan.finding import Finding, OtherTool
from gateway.catalog.scan.scanner import scan_definitions
from gateway.catalog.sync.changes import Changes, StoredTool, compare
from gateway.catalog.sync.tool_vectors import VectorsByText, embed_texts, store_vectors
from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool import ToolDefinition
from gateway.database.connection import DatabaseConnection
from gateway.database.pool import Database
from gateway.embedding.spaces import Spaces
from gateway.errors import EmbeddingError, NotFoundError
from gateway.settings import GuardSettings
from gateway.upstream.spec import ServerSpec

# Of a tool that changes all the time, older vectors are of no use.
_KEPT_EMBEDDINGS = 20

OnEmbedded = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What came of it. `embedded` counts texts; `version` is the new one, None where nothing changed.

    `quarantined` are the tools that wait for approval. `notice` says what could not be done, empty where all was.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0
    embedded: int = 0
    version: int | None = None
    quarantined: tuple[str, ...] = ()
    notice: str = ""


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a server said of itself at a sync, and the tools it listed that cannot be used."""

    skipped: Sequence[dict[str, str]]
    instructions: str | None = None
    server_info: dict[str, Any] | None = None
    protocol_version: str | None = None
    capabilities: dict[str, Any] | None = None


class CatalogUpdate:
    """Brings the catalogue to a set of definitions, all of it in one transaction or not at all."""

    def __init__(self, database: Database, spaces: Spaces, guards: GuardSettings) -> None:
        self._database = database
        self._spaces = spaces
        self._guards = guards

    async def take(
        self,
        spec: ServerSpec,
        tools: Sequence[ToolDefinition],
        heard: ServerReport | None,
        on_embedded: OnEmbedded | None = None,
        *,
        restores: int | None = None,
    ) -> UpdateResult:
        """Make `tools` those of the server. The caller sees to it that nobody else does so at the same time.

        `restores` is the version that they are taken from, which the server is pinned to from then on; without it they
        are what the server lists, which a pinned server keeps a record of and no more. Raises DatabaseError.
        """
        standing = await self._database.fetchrow("lock_server", spec.tenant_id, spec.id)
        if standing is None:
            raise NotFoundError(f"There is no server {spec.id} in this tenant.")
        if restores is None and standing["pinned_version"] is not None:
            return await self._take_note(spec, tools, heard, standing["newest"], standing["pinned_version"])
        texts = {tool.name: build_tool_texts(spec.name, tool) for tool in tools}
        space_id, notice = 0, ""
        try:
            space_id = (await self._spaces.configured_space()).id
        except EmbeddingError as error:
            notice = _without_vectors(error)
        stored = await self._stored(spec, space_id)
        changes = compare(stored, {tool.name: tool for tool in tools})
        stale = {
            name: text for name, text in texts.items() if name not in stored or stored[name].text_hash != text.hash
        }
        former: dict[int, bytes] = {}
        vectors: VectorsByText = {}
        if stale and not notice:
            former = await self._former(spec, space_id, stored, stale)
            missing = [text for name, text in stale.items() if name not in stored or stored[name].id not in former]
            try:
                vectors = await embed_texts(self._spaces, missing, on_embedded) if missing else {}
            except EmbeddingError as error:
                notice = _without_vectors(error)
        fresh = _fresh(changes)
        findings = await self._scan(spec, fresh)
        async with self._database.transaction() as transaction:
            standing = await transaction.fetchrow("lock_server", spec.tenant_id, spec.id)
            if standing is None:
                raise NotFoundError(f"There is no server {spec.id} in this tenant.")
            ids = await self._store_tools(transaction, spec, changes, stored, texts)
            if former:
                await transaction.execute(
                    "restore_embeddings", spec.tenant_id, space_id, list(former), list(former.values())
                )
            by_tool = {ids[name]: text for name, text in stale.items() if vectors and ids[name] not in former}
            if by_tool:
                await store_vectors(transaction, spec.tenant_id, space_id, by_tool, vectors)
            able = heard is not None and await _record(transaction, spec, heard)
            version = None
            quarantined: tuple[str, ...] = ()
            if changes:
                change = self._change(changes, stored)
                version = await write_version(transaction, spec.tenant_id, spec.id, tools, change, restores=restores)
                quarantined = await self._judge(
                    transaction,
                    spec,
                    fresh,
                    stored,
                    ids,
                    findings,
                    ReviewPolicy(
                        on_change=standing["on_change"],
                        first_sync=standing["never_synced"],
                        rollback=restores is not None,
                        quarantine_findings=self._guards.poisoning == "quarantine",
                    ),
                )
            if restores is not None:
                offered = version or await transaction.fetchval("newest_applied_version", spec.tenant_id, spec.id)
                await transaction.execute("pin_server", spec.tenant_id, spec.id, offered)
            if changes or vectors or former or able:
                await refresh_visibility(transaction, spec.tenant_id, server_id=spec.id)
        return UpdateResult(
            added=tuple(tool.name for tool in changes.added) + tuple(tool.name for _, tool in changes.returned),
            changed=tuple(tool.name for _, tool in changes.changed),
            removed=tuple(tool.name for tool in changes.removed),
            unchanged=len(tools) - len(fresh),
            embedded=len(vectors),
            version=version,
            quarantined=quarantined,
            notice=notice,
        )

    async def _take_note(
        self, spec: ServerSpec, tools: Sequence[ToolDefinition], heard: ServerReport | None, newest: int, pinned: int
    ) -> UpdateResult:
        """Keep a record of what a pinned server lists, where it is not what it listed last."""
        hashes = await self._database.fetch("version_hashes", spec.tenant_id, spec.id, newest)
        version = None
        async with self._database.transaction() as transaction:
            if {row["name"]: row["content_hash"] for row in hashes} != {tool.name: tool.content_hash for tool in tools}:
                rows = await transaction.fetch("version_tools", spec.tenant_id, spec.id, newest)
                before = {row["name"]: json.loads(row["definition"]) for row in rows}
                change = compare_versions(before, {tool.name: tool.raw for tool in tools})
                version = await write_version(transaction, spec.tenant_id, spec.id, tools, change, applied=False)
            if heard is not None and await _record(transaction, spec, heard):
                await refresh_visibility(transaction, spec.tenant_id, server_id=spec.id)
        notice = f"It is pinned to version {pinned}, which stays offered"
        notice += f"; what it lists now is kept as version {version}." if version else "."
        return UpdateResult(unchanged=len(tools), version=version, notice=notice)

    async def _stored(self, spec: ServerSpec, space_id: int) -> dict[str, StoredTool]:
        rows = await self._database.fetch("stored_tools", spec.tenant_id, spec.id, space_id)
        return {
            row["name"]: StoredTool(
                row["id"],
                row["name"],
                row["content_hash"],
                row["removed"],
                row["text_hash"],
                row["definition"],
            )
            for row in rows
        }

    async def _former(
        self, spec: ServerSpec, space_id: int, stored: Mapping[str, StoredTool], stale: Mapping[str, ToolTexts]
    ) -> dict[int, bytes]:
        """The text hash by tool id of those that had their texts, and vectors for them, before."""
        wanted = {stored[name].id: text.hash for name, text in stale.items() if name in stored}
        if not wanted:
            return {}
        rows = await self._database.fetch("former_texts", spec.tenant_id, space_id, list(wanted), list(wanted.values()))
        return {row["tool_id"]: row["text_hash"] for row in rows}

    async def _scan(self, spec: ServerSpec, fresh: Sequence[ToolDefinition]) -> dict[str, tuple[Finding, ...]]:
        if not fresh or self._guards.poisoning == "off":
            return {}
        rows = await self._database.fetch("other_servers_tools", spec.tenant_id, spec.id)
        others = [OtherTool(row["name"], row["exposed_name"], row["server_name"], row["server_slug"]) for row in rows]
        # A large definition takes its time, and calls of others go on meanwhile.
        found = await asyncio.to_thread(scan_definitions, [tool.raw for tool in fresh], others)
        return dict(zip([tool.name for tool in fresh], found, strict=True))

    async def _judge(
        self,
        transaction: DatabaseConnection,
        spec: ServerSpec,
        fresh: Sequence[ToolDefinition],
        stored: Mapping[str, StoredTool],
        ids: Mapping[str, int],
        findings: Mapping[str, Sequence[Finding]],
        policy: ReviewPolicy,
    ) -> tuple[str, ...]:
        """Write what is held against the tools that are new or changed; returns those that are quarantined."""
        if not fresh:
            return ()
        # Read now: an admin may have approved or quarantined a tool since the sync began.
        rows = await transaction.fetch("review_states", spec.tenant_id, spec.id)
        states = {row["id"]: ReviewState(row["approved_hash"], row["approved_by"], row["quarantine"]) for row in rows}
        judged = {
            tool.name: next_review_state(
                states[ids[tool.name]] if tool.name in stored else None,
                tool.content_hash,
                findings.get(tool.name, ()),
                policy,
            )
            for tool in fresh
        }
        await transaction.executemany(
            "set_review_state",
            [
                (spec.tenant_id, ids[name], state.approved_hash, state.approved_by, state.quarantine)
                for name, state in judged.items()
            ],
        )
        known = {tool.name: judged[tool.name].approver_of(tool.content_hash) == "person" for tool in fresh}
        await store_findings(
            transaction,
            spec.tenant_id,
            [(ids[tool.name], findings.get(tool.name, ()), known[tool.name]) for tool in fresh],
        )
        return tuple(name for name, state in judged.items() if state.quarantine is not None)

    def _change(self, changes: Changes, stored: Mapping[str, StoredTool]) -> VersionDifference:
        """The changes of a catalogue as those of a version."""
        before = {tool.name: json.loads(tool.definition) for tool in changes.removed}
        before |= {tool.name: json.loads(stored[tool.name].definition) for _, tool in changes.changed}
        return compare_versions(before, {tool.name: tool.raw for tool in _fresh(changes)})

    async def _store_tools(
        self,
        transaction: DatabaseConnection,
        spec: ServerSpec,
        changes: Changes,
        stored: Mapping[str, StoredTool],
        texts: Mapping[str, ToolTexts],
    ) -> dict[str, int]:
        """Write tools and terms; returns the id of every tool by name."""
        ids = {name: tool.id for name, tool in stored.items()}
        if not changes:
            return ids
        ids.update(await self._insert(transaction, spec, changes.added))
        written = [*changes.returned, *changes.changed]
        written_ids = [tool_id for tool_id, _ in written]
        await transaction.execute("keep_former_embeddings", spec.tenant_id, written_ids)
        await transaction.execute("drop_old_former_embeddings", spec.tenant_id, written_ids, _KEPT_EMBEDDINGS)
        for tool_id, tool in written:
            await transaction.execute(
                "update_tool", spec.tenant_id, tool_id, _category(spec, tool), tool.json, tool.content_hash
            )
        gone = [tool.id for tool in changes.removed]
        await transaction.execute("hide_tools", spec.tenant_id, gone)
        fresh = [tool.name for tool in _fresh(changes)]
        fresh_ids = [ids[name] for name in fresh]
        await transaction.execute("delete_terms", spec.tenant_id, [*fresh_ids, *gone])
        await transaction.execute("insert_terms", spec.tenant_id, fresh_ids, [texts[name].lexical for name in fresh])
        await transaction.execute("count_terms", spec.tenant_id, fresh_ids)
        await transaction.execute(
            "drop_stale_embeddings", spec.tenant_id, fresh_ids, [texts[name].hash for name in fresh]
        )
        return ids

    async def _insert(
        self, transaction: DatabaseConnection, spec: ServerSpec, added: tuple[ToolDefinition, ...]
    ) -> dict[str, int]:
        if not added:
            return {}
        await transaction.execute("lock_tenant", spec.tenant_id)
        taken = {row["exposed_name"] for row in await transaction.fetch("exposed_names", spec.tenant_id)}
        taken.update(GATEWAY_TOOLS)
        ids = {}
        for tool in added:
            name = make_exposed_name(spec.slug, tool.name, taken, spec.prefix)
            taken.add(name)
            ids[tool.name] = await transaction.fetchval(
                "insert_tool",
                spec.tenant_id,
                spec.id,
                tool.name,
                name,
                _category(spec, tool),
                tool.json,
                tool.content_hash,
            )
        return ids


async def _record(transaction: DatabaseConnection, spec: ServerSpec, heard: ServerReport) -> bool:
    """Write down what the server said of itself; whether what it can do is not what it was."""
    return bool(
        await transaction.fetchval(
            "record_sync",
            spec.tenant_id,
            spec.id,
            list(heard.skipped),
            heard.instructions,
            heard.server_info,
            heard.protocol_version,
            heard.capabilities,
        )
    )


def _fresh(changes: Changes) -> list[ToolDefinition]:
    """The tools that are new or not as they were."""
    return [*changes.added, *(tool for _, tool in changes.returned), *(tool for _, tool in changes.changed)]


def _category(spec: ServerSpec, tool: ToolDefinition) -> str:
    return categorize(spec.name, tool.name, tool.description)


def _without_vectors(error: EmbeddingError) -> str:
    return f"Stored without vectors, which follow as soon as the embedder answers: {error.message}"
