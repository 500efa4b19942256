"""Categories that the embedder finds, as tools get them at a sync and later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.catalog.category_proposal import CATEGORY_TEXTS, CategoryProposals
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.sync.fill_rate import FillRate
from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.catalog.tool_override import ToolOverride
from gateway.components import Components, open_components
from gateway.embedding.embedder import EmbeddedTexts
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import ListedServer, add_listed, tool

_FETCH = tool("fetch", "Fetches a URL from the internet and extracts its contents as markdown.", url="URL to fetch")
_SIMULATE = tool(
    "simulate-research-query",
    "Simulates a deep research operation that gathers, analyzes, and synthesizes information. Demonstrates MCP "
    "task-based operations with progress through multiple stages.",
    topic="The research topic to investigate",
)
_COMMIT = tool("git_commit", "Records changes to the repository", message="The commit message")


async def categories(server: ListedServer) -> dict[str, tuple[str, str | None]]:
    """By name the category that a tool has and the one that is proposed."""
    async with server.parts.database.transaction() as transaction:
        rows = await transaction.fetch("review_states", server.tenant_id, server.id)
        by_id = {row["id"]: row for row in rows}
        details = [await transaction.fetchrow("tool_detail", server.tenant_id, each) for each in by_id]
    return {row["name"]: (row["category"], row["proposed_category"]) for row in details if row is not None}


async def test_new_tools_get_the_category_that_their_text_is_nearest_to(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, _FETCH, _SIMULATE, _COMMIT)
    assert await categories(server) == {
        "fetch": ("search", "search"),
        "simulate-research-query": ("other", "other"),
        "git_commit": ("git", "git"),
    }


@pytest.mark.parametrize("ruled", ["api", "search"])
async def test_what_a_rule_names_changes_by_an_admins_hand_alone(parts: Components, tmp_path: Path, ruled: str) -> None:
    role = await create_role(parts.database, 1, "careful", "SEARCH")
    await set_rule(parts.database, 1, role.id, "DENY", category=ruled)
    server = await add_listed(parts, tmp_path, _FETCH)
    assert await categories(server) == {"fetch": ("api", "search")}

    rows = await parts.database.fetch("stored_tools", 1, server.id, 0)
    await ToolOverrides(parts.database, parts.spaces).set(1, rows[0]["id"], ToolOverride(category="search"))
    assert await categories(server) == {"fetch": ("search", "search")}


async def test_the_space_that_stands_by_does_not_speak_for_the_one_that_serves(
    settings: Settings, tmp_path: Path
) -> None:
    with EmbeddingServer() as ollama:
        embedder = EmbedderSettings(type="ollama", base_url=ollama.url)
        async with open_components(replace(settings, embedder=embedder), embed_seconds=0.0) as parts:
            server = await add_listed(parts, tmp_path, _SIMULATE)
            # At a rate that has no room yet the standby alone is filled.
            waiting = FillRate(1, lambda: 0.0)
            assert await VectorFiller(parts.database, parts.spaces, parts.categories, rate=waiting).fill() == 1
            assert (await categories(server))["simulate-research-query"][1] is None
            assert await VectorFiller(parts.database, parts.spaces, parts.categories).fill() == 1
            assert (await categories(server))["simulate-research-query"][1] is not None


async def test_the_descriptions_are_embedded_once_by_syncs_and_filler_together(
    settings: Settings, tmp_path: Path
) -> None:
    with EmbeddingServer() as ollama:
        embedder = EmbedderSettings(type="ollama", base_url=ollama.url, standby=False)
        async with open_components(replace(settings, embedder=embedder), embed_seconds=0.0) as parts:
            filler = VectorFiller(parts.database, parts.spaces, parts.categories)
            for name in ("One", "Two"):
                await add_listed(parts, tmp_path, tool(name.lower(), "Does a thing"), name=name)
                await filler.fill()
        described = [text for text in ollama.texts if text.endswith(CATEGORY_TEXTS)]
        assert len(described) == len(CATEGORY_TEXTS)


async def test_a_description_that_the_embedder_refuses_is_not_asked_for_again() -> None:
    asked = []

    async def embed_each(texts: Sequence[str], until: float) -> EmbeddedTexts:
        asked.append(len(texts))
        vectors = {place: np.ones(2, np.float32) for place in range(1, len(texts))}
        return EmbeddedTexts(vectors, {0: "too odd"})

    proposals = CategoryProposals()
    assert await proposals.prepare(1, embed_each) == len(CATEGORY_TEXTS)
    assert await proposals.prepare(1, embed_each) == 0
    assert asked == [len(CATEGORY_TEXTS)]


async def test_a_category_stays_when_the_server_changes_the_tool(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(parts, tmp_path, _FETCH)
    server.lists(tool("fetch", "Runs a SQL query against the database and returns rows of a table."))
    await server.sync()
    assert await categories(server) == {"fetch": ("search", "database")}
