"""Search from end to end over a real database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.access.caller import Caller
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components, open_components
from gateway.embedding.spaces.query_embedding import QueryVectors
from gateway.errors import EmbedderUnavailableError
from gateway.search.finder import Finder
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import ToolIndex
from gateway.search.ranking import ASSUMED_BASELINE
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.settings import SearchSettings, Settings, load_settings
from tests.support.cluster import Cluster
from tests.support.listed import listed_command, tool
from tests.support.rows import caller_with, rows, value

ANIMALS = ["cat", "dog", "horse", "cow", "sheep", "goat", "duck", "goose", "pig", "hen"]
PLACES = ["house", "garden", "field", "barn", "river", "forest", "mountain", "city", "road", "lake"]
DEEDS = ["feed", "count", "find"]
ANY = SearchSettings(threshold=0.0)
TOOLS = [
    tool(f"{deed}_{animal}_{place}", f"{deed.title()} every {animal} in the {place}", which=f"which {animal}")
    for deed in DEEDS
    for animal in ANIMALS
    for place in PLACES
]


@pytest.fixture(scope="module")
async def farm_url(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A database with 300 tools, and a role that sees three of them."""
    name = await cluster.create()
    folder = tmp_path_factory.mktemp("farm")
    file = folder / "tools.json"
    file.write_text(json.dumps({"tools": TOOLS}))
    environ = {
        "MODELGATE_DATABASE_URL": cluster.url(name),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(folder),
    }
    async with open_components(load_settings(environ=environ)) as parts:
        command, arguments = listed_command(file)
        server_id = await parts.servers.add(1, ServerDefinition("Farm", "stdio", command=command, args=arguments))
        await rows(
            parts.database.url,
            "INSERT INTO roles (tenant_id, name, default_visibility) VALUES (1, 'few', 'DENY'), (1, 'one', 'DENY')",
        )
        await rows(
            parts.database.url,
            """INSERT INTO role_rules (tenant_id, role_id, pattern, visibility)
               SELECT 1, r.id, p.pattern, 'SEARCH'::visibility
               FROM roles r JOIN (VALUES ('few', 'farm__feed_hen_lake'), ('few', 'farm__count_cow_barn'),
                                         ('few', 'farm__find_goat_city'), ('one', 'farm__find_dog_river'))
                    AS p (role, pattern) ON p.role = r.name""",
        )
        await parts.sync.run(1, server_id)
    yield cluster.url(name)
    await cluster.drop(name)


@pytest.fixture
async def farm(farm_url: str, settings: Settings) -> AsyncIterator[Components]:
    async with open_components(replace(settings, database=replace(settings.database, url=farm_url))) as parts:
        # What everyday requests find is measured beside the first searches, and settles the scores.
        for _ in range(1_000):
            if await parts.index.baseline(1, await parts.spaces.active_space()) != ASSUMED_BASELINE:
                break
            await asyncio.sleep(0.02)
        yield parts


def searching(parts: Components, settings: SearchSettings) -> Components:
    """The same parts with another search."""
    return replace(parts, finder=Finder(parts.database, parts.spaces, parts.index, settings))


async def find(
    parts: Components, query: str, *roles: str, results: int = 5, caller: Caller | None = None, **more: str
) -> SearchOutcome:
    request = SearchRequest((query,), results, **more)  # type: ignore[arg-type]
    return await parts.finder.find(caller or await caller_with(parts, *roles), request)


async def test_what_was_asked_for_comes_first(farm: Components) -> None:
    # The tools of this farm are so alike that hardly one of them is more likely right than wrong.
    async with open_components(replace(farm.settings, search=SearchSettings(threshold=0.0))) as parts:
        for wanted in (
            "feed every goat in the barn",
            "count each duck at the lake",
            "find a horse in the forest",
        ):
            outcome = await find(parts, wanted)
            first = outcome.tools[0].name.split("_")
            assert all(word in wanted for word in first), (wanted, first)


async def test_a_role_that_sees_three_of_many_gets_its_three(farm: Components) -> None:
    parts = searching(farm, SearchSettings(mode="cosine", threshold=0.0))
    outcome = await find(parts, "animals of the farm", "few")
    assert {found.name for found in outcome.tools} == {"feed_hen_lake", "count_cow_barn", "find_goat_city"}
    assert outcome.total_found == 3
    both = await find(parts, "animals of the farm", "few", "one")
    assert both.total_found == 4


async def test_as_many_are_found_as_were_asked_for(farm: Components) -> None:
    parts = searching(farm, SearchSettings(mode="cosine", threshold=0.0))
    outcome = await find(parts, "feed the animals", results=50)
    assert len(outcome.tools) == 50
    assert outcome.total_found == 300


async def test_in_cosine_mode_the_score_is_the_cosine_and_the_threshold_cuts(farm: Components) -> None:
    query = "feed every goat in the barn"
    vector = (await farm.spaces.embed_queries([query])).vectors[0]
    stored = await rows(
        farm.database.url,
        "SELECT t.name, e.ranking_embedding::text AS vector FROM tool_embeddings e JOIN tools t ON t.id = e.tool_id",
    )
    cosines = {row["name"]: float(np.array(json.loads(row["vector"]), dtype=np.float32) @ vector) for row in stored}
    for threshold in np.quantile(list(cosines.values()), [0.5, 0.9]).tolist():
        search = SearchSettings(mode="cosine", threshold=threshold)
        async with open_components(replace(farm.settings, search=search)) as parts:
            outcome = await find(parts, query, results=50)
        passing = {name for name, cosine in cosines.items() if cosine >= threshold}
        assert 0 < len(passing) < 300
        assert outcome.total_found == pytest.approx(len(passing), abs=1)
        for found in outcome.tools:
            assert found.match.score == pytest.approx(cosines[found.name], abs=2e-3)
            assert found.match.similarity == pytest.approx(found.match.score)
        scores = [found.match.score for found in outcome.tools]
        assert scores == sorted(scores, reverse=True)


async def test_the_total_counts_all_and_not_what_is_shown(farm: Components) -> None:
    async with open_components(replace(farm.settings, search=SearchSettings(threshold=0.0))) as parts:
        outcome = await find(parts, "goat", results=3)
    assert len(outcome.tools) == 3
    assert outcome.total_found == 300


@pytest.mark.parametrize("name", ["feed_hen_lake", "farm__feed_hen_lake", "Farm/feed_hen_lake", "farm/feed_hen_lake"])
@pytest.mark.parametrize("mode", ["hybrid", "cosine"])
async def test_the_tool_that_is_named_comes_first_by_every_name(farm: Components, name: str, mode: str) -> None:
    search = SearchSettings(mode=mode)  # type: ignore[arg-type]
    async with open_components(replace(farm.settings, search=search)) as parts:
        outcome = await find(parts, name)
        assert outcome.tools[0].name == "feed_hen_lake"
        assert outcome.total_found >= len(outcome.tools)
        if mode == "hybrid":
            assert outcome.tools[0].match.score == 1.0
        else:
            assert outcome.tools[0].match.score == outcome.tools[0].match.similarity
        assert (await find(parts, name, "one")).total_found == 0 or mode == "hybrid"


async def test_a_tool_that_is_named_but_not_visible_is_not_found(farm: Components) -> None:
    outcome = await find(farm, "farm__feed_hen_barn", "few")
    assert "feed_hen_barn" not in {found.name for found in outcome.tools}


async def test_several_queries_are_merged_and_each_tool_says_which_found_it(farm: Components) -> None:
    caller = await caller_with(farm)
    queries = ("feed every goat in the barn", "count every duck on the lake")
    alone = [await farm.finder.explain(caller, SearchRequest((query,), 50), 300) for query in queries]
    together = await farm.finder.find(caller, SearchRequest(queries, 50, is_multi_query=True))
    passing = [
        {explained.tool_id for explained in explanation.tools if explained.outcome != "cut"} for explanation in alone
    ]
    assert {found.match.tool_id for found in together.tools} <= passing[0] | passing[1]
    for found in together.tools:
        assert found.match.query_positions == tuple(n for n in (0, 1) if found.match.tool_id in passing[n])
    assert {"feed_goat_barn", "count_duck_lake"} <= {found.name for found in together.tools[:4]}


async def test_an_explicit_denial_of_one_role_is_not_lifted_by_another(farm: Components) -> None:
    url = farm.database.url
    role = await value(
        url, "INSERT INTO roles (tenant_id, name, default_visibility) VALUES (1, 'no_goats', 'SEARCH') RETURNING id"
    )
    await rows(
        url,
        "INSERT INTO role_rules (tenant_id, role_id, pattern, visibility) VALUES (1, $1, 'farm__*goat*', 'DENY')",
        role,
    )
    await farm.database.execute("refresh_role_tools", 1, role, None)
    everything = await caller_with(farm)
    both = replace(everything, role_ids=(*everything.role_ids, role))
    found = await find(farm, "feed every goat in the barn", results=50, caller=both)
    assert not any("goat" in each.name for each in found.tools)


@pytest.mark.parametrize("query", ["the and of", "?!", "a", "🐄🐖", "a" * 4000, "feed, " * 600])
async def test_queries_without_a_useful_word_are_answered(farm: Components, query: str) -> None:
    outcome = await find(farm, query)
    assert outcome.notice == ""
    assert len(outcome.tools) <= 5
    assert len(outcome.more) <= 8


async def test_a_query_in_another_script_is_told_so(farm: Components) -> None:
    assert (await find(farm, "納屋のヤギに餌をやる")).notice.endswith("ask in English to find more.")


async def test_the_next_best_are_named_beside_those_that_are_shown(farm: Components) -> None:
    query = "feed every goat in the barn"
    ranked = [found.match.tool_id for found in (await find(searching(farm, ANY), query, results=50)).tools]
    for results in (1, 3):
        outcome = await find(searching(farm, ANY), query, results=results)
        assert [found.match.tool_id for found in outcome.tools] == ranked[:results]
        named = [found.match.tool_id for found in outcome.more]
        assert named == ranked[results : results + len(named)]
        assert len(named) <= 8
    nothing = await find(searching(farm, SearchSettings(threshold=1.0)), query)
    assert (nothing.total_found, nothing.tools) == (0, ())
    assert [found.match.tool_id for found in nothing.more][:3] == ranked[:3]
    assert len(nothing.more) >= 5


async def test_scores_fall_with_the_rank(farm: Components) -> None:
    outcome = await find(searching(farm, ANY), "count each duck at the lake", results=50)
    scores = [found.match.score for found in outcome.tools]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] < scores[0] <= 1


class _Deprecating:
    """An index in which some tools say that they are deprecated."""

    def __init__(self, index: ToolIndex, tool_ids: set[int]) -> None:
        self._index = index
        self._tool_ids = tool_ids

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    async def cards(self, *arguments: Any) -> dict[int, ToolCard]:
        cards = await self._index.cards(*arguments)
        return {
            tool_id: replace(card, description="Deprecated.") if tool_id in self._tool_ids else card
            for tool_id, card in cards.items()
        }


async def test_a_deprecated_tool_stands_behind_living_ones_in_more_as_well(farm: Components) -> None:
    everything = searching(farm, ANY)
    before = await find(everything, "feed animals by the lake", results=2)
    ids = [tool.match.tool_id for tool in (*before.tools, *before.more)]
    index: Any = _Deprecating(farm.index, {ids[0], ids[3]})
    outcome = await find(
        replace(farm, finder=Finder(farm.database, farm.spaces, index, ANY)), "feed animals by the lake", results=2
    )
    assert [tool.match.tool_id for tool in outcome.tools] == ids[1:3]
    assert [tool.match.tool_id for tool in outcome.more][: len(ids) - 4] == ids[4:]
    scores = [tool.match.score for tool in (*outcome.tools, *outcome.more)]
    assert scores == sorted(scores, reverse=True)


async def test_in_cosine_mode_there_is_no_more(farm: Components) -> None:
    outcome = await find(searching(farm, SearchSettings(mode="cosine", threshold=1.0)), "feed every goat in the barn")
    assert outcome.more == ()


async def test_another_tenant_finds_nothing_of_this_one(farm: Components) -> None:
    caller = await caller_with(farm)
    outcome = await find(farm, "feed every goat in the barn", caller=replace(caller, tenant_id=4711))
    assert (outcome.total_found, outcome.tools) == (0, ())


@pytest.mark.parametrize("mode", ["hybrid", "cosine"])
async def test_an_explanation_tells_of_the_outcome_that_is_found_anyway(farm: Components, mode: str) -> None:
    caller, request = await caller_with(farm), SearchRequest(("feed every goat in the barn",), 3)
    whole = SearchSettings(mode=mode, threshold=0.0)  # type: ignore[arg-type]
    threshold = (await searching(farm, whole).finder.explain(caller, request, 20)).tools[10].score
    parts = searching(farm, replace(whole, threshold=threshold))
    explanation = await parts.finder.explain(caller, request, 20)
    assert explanation.outcome == await parts.finder.find(caller, request)
    shown = [(found.match.tool_id, found.match.score, "found") for found in explanation.outcome.tools]
    assert [
        (explained.tool_id, explained.score, explained.outcome) for explained in explanation.tools[: len(shown)]
    ] == shown
    rest = explanation.tools[len(shown) :]
    assert len(rest) == 20
    assert [explained.score for explained in rest] == sorted((explained.score for explained in rest), reverse=True)
    assert {explained.outcome for explained in rest} == {"beyond", "cut"}
    assert all((explained.score >= threshold) == (explained.outcome == "beyond") for explained in rest)
    for explained in explanation.tools:
        assert explained.measured is not None
        assert explained.measured.lexical >= 0
        if mode == "cosine":
            assert explained.score == explained.measured.cosine


async def test_the_steps_of_a_search_take_the_time_that_it_takes(farm: Components) -> None:
    caller, request = await caller_with(farm), SearchRequest(("feed every goat in the barn",), 3)
    started = time.perf_counter()
    times = (await farm.finder.explain(caller, request, 20)).times
    took = (time.perf_counter() - started) * 1000
    assert min(times.embed, times.index, times.score) > 0
    assert times.embed + times.index + times.score < took


async def test_a_tool_that_was_found_by_its_name_alone_is_explained_without_measures(farm: Components) -> None:
    parts = searching(farm, SearchSettings(threshold=1.0))
    explanation = await parts.finder.explain(await caller_with(farm), SearchRequest(("farm/feed_hen_lake",), 1), 5)
    assert [explained.outcome for explained in explanation.tools] == ["found", *["cut"] * 5]
    assert explanation.outcome.tools[0].match.is_named


async def test_an_explanation_of_several_queries_takes_the_best_of_each_tool(farm: Components) -> None:
    queries = ("feed every goat in the barn", "count every duck on the lake")
    caller = await caller_with(farm)
    alone = [await farm.finder.explain(caller, SearchRequest((query,), 1), 300) for query in queries]
    together = await farm.finder.explain(caller, SearchRequest(queries, 1, is_multi_query=True), 300)
    scores = [{explained.tool_id: explained.score for explained in explanation.tools} for explanation in alone]
    assert {explained.tool_id for explained in together.tools} == scores[0].keys() | scores[1].keys()
    for explained in together.tools:
        assert explained.score == pytest.approx(max(each.get(explained.tool_id, 0.0) for each in scores))


async def test_an_explanation_says_why_there_is_no_vector(farm: Components, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(texts: Sequence[str]) -> QueryVectors:
        raise EmbedderUnavailableError("The embedder is not there", "start it")

    await farm.finder.find(await caller_with(farm), SearchRequest(("feed every goat",), 3))
    in_memory = farm.index.size_bytes
    monkeypatch.setattr(farm.spaces, "embed_queries", fail)
    explanation = await farm.finder.explain(await caller_with(farm), SearchRequest(("feed every goat",), 3), 5)
    # What serves knows the words as well.
    assert farm.index.size_bytes == in_memory
    assert (explanation.query_vectors, explanation.embedding_error) == (None, "The embedder is not there; start it.")
    assert explanation.outcome.notice.endswith("by words alone: The embedder is not there; start it.")
    assert explanation.tools
    assert all(explained.measured is not None and explained.measured.cosine is None for explained in explanation.tools)
