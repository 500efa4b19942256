"""What an update of the catalogue is going to write: all that can be known before the transaction begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.catalog.review.tenant_tools import load_tenant_tools
from gateway.catalog.review.tool_list_diff import ToolListDiff, diff_tool_lists
from gateway.catalog.scan.finding import Finding
from gateway.catalog.scan.other_tools import OtherTools, ScannedServer
from gateway.catalog.scan.scanner import scan_definitions
from gateway.catalog.sync.text_vectors import OnEmbedded, TextVectors, embed_texts, in_order_of_use
from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool import ToolDefinition, stored_definition
from gateway.catalog.tool_override import ToolOverride
from gateway.database.connection import DatabaseConnection
from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import EmbeddingError
from gateway.upstream.spec import ServerSpec


@dataclass(frozen=True, slots=True)
class StoredTool:
    """A tool as the catalogue has it, `removed` where the server no longer lists it.

    `text_hash` is that of the texts that have vectors in the configured space, None without.
    """

    id: int
    definition: ToolDefinition
    removed: bool
    text_hash: bytes | None


@dataclass(frozen=True, slots=True)
class VectorPlan:
    """The vectors that tools with new texts are going to have, by name of the tool, in the space `space_id`.

    `former` are the hashes of texts that had vectors before, `missing` the texts that had none, of which `embedded`
    tells what became of them; those that were not reached get their vectors later. Without a space there are neither.
    """

    space_id: int | None = None
    former: Mapping[str, bytes] = field(default_factory=dict)
    missing: Mapping[str, ToolTexts] = field(default_factory=dict)
    embedded: TextVectors = field(default_factory=TextVectors)


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """An update of a server's tools to `tools`: how they differ from those that are stored, and what follows from that.

    `overrides`, `stored`, `texts` and `findings` go by the server's own name of the tool; `findings` are in the
    definitions that are new, by the rules of the version `scan_rules`, None where nothing is scanned, and beside the
    tools of other servers of which `scanned_beside` is the digest.
    """

    spec: ServerSpec
    tools: Sequence[ToolDefinition]
    overrides: Mapping[str, ToolOverride]
    stored: Mapping[str, StoredTool]
    diff: ToolListDiff
    texts: Mapping[str, ToolTexts]
    vectors: VectorPlan
    findings: Mapping[str, Sequence[Finding]]
    scan_rules: str | None
    scanned_beside: str


class UpdatePlanner:
    """Makes plans: compares, embeds and scans, and writes nothing."""

    def __init__(self, database: Database, spaces: Spaces, *, scan_rules: str | None, embed_seconds: float) -> None:
        """`scan_rules` is the version of the rules to scan by, None to scan nothing. After `embed_seconds` no further
        text is embedded for a plan.
        """
        self._database = database
        self._spaces = spaces
        self._scan_rules = scan_rules
        self._embed_seconds = embed_seconds

    async def plan(
        self, spec: ServerSpec, tools: Sequence[ToolDefinition], on_embedded: OnEmbedded | None = None
    ) -> UpdatePlan:
        """The update of a server to `tools`. Raises DatabaseError."""
        try:
            space_id, error = (await self._spaces.configured_space()).id, None
        except EmbeddingError as unknown:
            space_id, error = None, unknown
        stored = await self._load_stored(spec, space_id)
        overrides = await load_overrides(self._database, spec)
        # A listing may be large; comparing it must not hold up the calls of others.
        diff, texts = await asyncio.to_thread(_compare, spec.name, stored, tools, overrides)
        vectors = VectorPlan(embedded=TextVectors(failure=error))
        if space_id is not None:
            vectors = await self._plan_vectors(spec, space_id, stored, texts, on_embedded)
        # Asked first: what changes while the tools are read is looked at again.
        beside = await self._database.fetchval("tools_beside", spec.tenant_id, spec.id)
        findings = await self._scan(spec, stored, tools, diff.new_definitions)
        return UpdatePlan(spec, tools, overrides, stored, diff, texts, vectors, findings, self._scan_rules, beside)

    async def _load_stored(self, spec: ServerSpec, space_id: int | None) -> dict[str, StoredTool]:
        rows = await self._database.fetch("stored_tools", spec.tenant_id, spec.id, space_id)
        return {
            row["name"]: StoredTool(
                row["id"],
                stored_definition(row),
                row["removed"],
                row["text_hash"],
            )
            for row in rows
        }

    async def _plan_vectors(
        self,
        spec: ServerSpec,
        space_id: int,
        stored: Mapping[str, StoredTool],
        texts: Mapping[str, ToolTexts],
        on_embedded: OnEmbedded | None,
    ) -> VectorPlan:
        stale = {
            name: text for name, text in texts.items() if name not in stored or stored[name].text_hash != text.hash
        }
        former = await self._find_former(spec, space_id, stored, stale)
        missing = {name: text for name, text in stale.items() if name not in former}
        if not missing:
            return VectorPlan(space_id, former)
        texts_in_order = in_order_of_use(list(missing.values()))
        until = time.monotonic() + self._embed_seconds
        embedded = await embed_texts(self._spaces.embed_each, texts_in_order, until, on_embedded)
        return VectorPlan(space_id, former, missing, embedded)

    async def _find_former(
        self, spec: ServerSpec, space_id: int, stored: Mapping[str, StoredTool], stale: Mapping[str, ToolTexts]
    ) -> dict[str, bytes]:
        """The text hashes by name of those that had their texts, and vectors for them, before."""
        wanted = {stored[name].id: text.hash for name, text in stale.items() if name in stored}
        if not wanted:
            return {}
        rows = await self._database.fetch(
            "former_embedding_hashes", spec.tenant_id, space_id, list(wanted), list(wanted.values())
        )
        found = {row["tool_id"] for row in rows}
        return {name: text.hash for name, text in stale.items() if name in stored and stored[name].id in found}

    async def _scan(
        self,
        spec: ServerSpec,
        stored: Mapping[str, StoredTool],
        tools: Sequence[ToolDefinition],
        new_definitions: Sequence[ToolDefinition],
    ) -> dict[str, tuple[Finding, ...]]:
        if not new_definitions or self._scan_rules is None:
            return {}
        others = await load_tenant_tools(self._database, spec.tenant_id, but=spec.id)
        server = ScannedServer(spec.id, {tool.name for tool in tools}, spec.prefix != "")
        ids = [stored[tool.name].id if tool.name in stored else None for tool in new_definitions]
        # A large definition takes its time, and calls of others go on meanwhile.
        found = await asyncio.to_thread(
            lambda: scan_definitions([tool.raw for tool in new_definitions], ids, server, OtherTools(others))
        )
        return dict(zip([tool.name for tool in new_definitions], found, strict=True))


def _compare(
    server: str,
    stored: Mapping[str, StoredTool],
    tools: Sequence[ToolDefinition],
    overrides: Mapping[str, ToolOverride],
) -> tuple[ToolListDiff, dict[str, ToolTexts]]:
    before = [tool.definition for tool in stored.values() if not tool.removed]
    shown = {tool.name: overrides[tool.name].apply(tool) if tool.name in overrides else tool for tool in tools}
    return diff_tool_lists(before, tools), {name: build_tool_texts(server, tool) for name, tool in shown.items()}


async def load_overrides(statements: Database | DatabaseConnection, spec: ServerSpec) -> dict[str, ToolOverride]:
    """What admins say of a server's tools everywhere, by the server's own names."""
    rows = await statements.fetch("server_overrides", spec.tenant_id, spec.id)
    return {row["tool"]: ToolOverride.of(row) for row in rows}
