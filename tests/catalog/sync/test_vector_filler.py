"""Vectors of tools while the embedder is down or wrong, and while another model takes over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with, rows, value
from tests.support.waiting import until

TOOLS = [
    tool("calculator", "Perform mathematical calculations", expression="what to calculate"),
    tool("get_weather", "Get the current weather of a city", city="the city"),
]


# Without a standby, so that there is one space at a time.
ALONE = EmbedderSettings(type="ollama", standby=False, space_grace_hours=0)


async def find(parts: Components, query: str = "calculate math expressions") -> SearchOutcome:
    """The best tool, and what is said beside it."""
    return await parts.finder.find(await caller_with(parts), SearchRequest((query,), max_results=1))


async def vectors(parts: Components) -> int:
    """How many tools have vectors in the space that serves, with no space other than those of 256 dimensions."""
    url = parts.database.url
    assert await value(url, "SELECT coalesce(max(dimensions), 256) FROM embedding_spaces") == 256
    return int(await value(url, "SELECT count(combined_embedding) FROM mcp_tools"))


@asynccontextmanager
async def filling(parts: Components) -> AsyncIterator[None]:
    task = asyncio.create_task(VectorFiller(parts.database, parts.spaces, parts.categories, every_seconds=0.05).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


FAULTS: list[Any] = [
    pytest.param(Fault.failing(500), id="failing"),
    pytest.param(Fault.failing(503), id="busy"),
    pytest.param(Fault.model_missing(), id="wrong model"),
    pytest.param(Fault.value("NaN"), id="NaN"),
    pytest.param(Fault.value("null"), id="null"),
    pytest.param(Fault.zeros(), id="zeros"),
    pytest.param(Fault.missing_vector(), id="one vector too few"),
    pytest.param(Fault.body("<html>"), id="no JSON"),
    pytest.param(Fault.cut(), id="cut off"),
]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_wrong_embedder_stores_nothing_wrong_and_words_still_find(
    served: Components, embedder: EmbeddingServer, tmp_path: Path, fault: Fault
) -> None:
    embedder.fault = fault
    server = await add_listed(served, tmp_path, *TOOLS)
    record = await server.record()
    assert (record.tool_count, record.state) == (2, "synced")
    assert await vectors(served) == 0
    outcome = await find(served)
    assert [found.name for found in outcome.tools] == ["calculator"]
    assert outcome.notice.startswith("Semantic search is unavailable, these results are by words alone: ")


@pytest.mark.parametrize(
    ("fault", "said"), [(Fault.dimensions(300), "300 dimensions"), (Fault.ragged(), "255 dimensions")]
)
async def test_another_dimension_than_before_is_never_stored(
    served: Components, embedder: EmbeddingServer, tmp_path: Path, fault: Fault, said: str
) -> None:
    server = await add_listed(served, tmp_path, TOOLS[0])
    embedder.fault = fault
    server.lists(*TOOLS)
    assert said in (await server.sync()).notice
    assert await vectors(served) == 1
    outcome = await find(served, "weather in a city")
    assert "weights" in outcome.notice or "dimensions" in outcome.notice
    assert [found.name for found in outcome.tools] == ["get_weather"]


async def test_a_slow_embedder_does_not_hold_up_a_sync_for_ever(
    served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, TOOLS[0])
    embedder.fault = Fault.slow(60)
    server = await add_listed(served, tmp_path, TOOLS[1], name="Other")
    assert (await server.record()).state == "synced"
    assert await vectors(served) == 1


async def test_missing_vectors_are_filled_as_soon_as_the_embedder_answers(
    served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, TOOLS[0])
    embedder.fault = Fault.failing(500)
    await add_listed(served, tmp_path, TOOLS[1], name="Other")
    assert await vectors(served) == 1
    async with filling(served):
        embedder.fault = None

        async def filled() -> bool:
            return await vectors(served) == 2

        await until(filled)
    outcome = await find(served, "is it raining")
    assert outcome.notice == ""


async def test_a_gateway_that_starts_before_its_embedder_learns_of_it_later(
    served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(embedder.stop)
    await add_listed(served, tmp_path, *TOOLS)
    assert (await find(served)).notice
    await asyncio.to_thread(embedder.start)
    async with filling(served):

        async def semantic() -> bool:
            return await vectors(served) == 2 and not (await find(served)).notice

        await until(semantic, 30)


async def test_searches_do_not_queue_up_behind_an_embedder_that_hangs(
    settings: Settings, served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, *TOOLS)
    embedder.fault = Fault.slow(60)
    hanging = replace(ALONE, base_url=embedder.url, timeout_seconds=0.5)
    async with open_components(replace(settings, embedder=hanging)) as parts:
        loop = asyncio.get_running_loop()
        started = loop.time()
        outcomes = await asyncio.gather(*(find(parts, f"calculate number {n}") for n in range(12)))
        # One after the other they would wait for half a second each.
        assert loop.time() - started < 4
    assert all(outcome.notice and outcome.tools for outcome in outcomes)


async def test_a_tool_that_changes_while_it_is_filled_does_not_get_its_former_vectors(
    served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, TOOLS[0])
    embedder.fault = Fault.failing(500)
    other = await add_listed(served, tmp_path, TOOLS[1], name="Other")
    embedder.clear()
    embedder.fault = Fault.slow(1.5, times=1)
    filler = VectorFiller(served.database, served.spaces, served.categories)
    filling_once = asyncio.create_task(filler.fill())
    await until(lambda: bool(embedder.texts))
    other.lists(tool("get_weather", "Something else altogether"))
    await other.sync()
    embedder.fault = None
    await filling_once
    assert await vectors(served) == 2
    assert (await other.sync()).embedded == 0


async def test_a_server_that_is_renamed_while_vectors_of_its_tools_are_missing_has_them_made_anew(
    served: Components, tmp_path: Path
) -> None:
    server = await add_listed(served, tmp_path, *TOOLS)
    await rows(
        served.database.url,
        "UPDATE tool_embeddings SET name_embedding = NULL, description_embedding = NULL, is_complete = false",
    )
    definition = await served.servers.load_definition(server.tenant_id, server.id)
    await served.servers.update(server.tenant_id, server.id, replace(definition, name="Otherwise"))
    with anyio.fail_after(30):
        assert await VectorFiller(served.database, served.spaces, served.categories).fill() == 2
    assert (await server.record()).tools_lacking_vectors == 0
    assert (await server.sync()).embedded == 0


async def test_another_model_takes_over_without_a_window_of_no_results(
    settings: Settings, served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, *TOOLS)
    former = (await served.spaces.active_space()).id
    async with EmbeddingServer(models=("other-model", "nomic-embed-text"), dimensions=256) as second:
        changed = replace(ALONE, base_url=second.url, model="other-model")
        async with open_components(replace(settings, embedder=changed)) as parts:
            second.fault = Fault.slow(0.3, times=3)
            outcomes = [await find(parts)]
            async with filling(parts):
                while (await parts.spaces.active_space()).id == former:
                    outcomes.append(await find(parts))
                    await asyncio.sleep(0.01)
                outcomes += [await find(parts) for _ in range(5)]

                async def dropped() -> bool:
                    return bool(await value(parts.database.url, "SELECT count(*) = 1 FROM embedding_spaces"))

                await until(dropped)
            assert len(outcomes) > 6
            assert {tuple(found.name for found in outcome.tools) for outcome in outcomes} == {("calculator",)}
            assert {outcome.notice for outcome in outcomes} == {""}
            assert (await parts.spaces.active_space()).space.model == "other-model"


async def test_a_model_that_has_other_dimensions_under_its_old_name_is_a_new_space(
    served_settings: Settings, served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, *TOOLS)
    embedder.dimensions = 128
    async with open_components(served_settings) as parts:
        outcome = await find(parts)
        assert "has other weights than those that the catalogue was embedded with" in outcome.notice
        assert [found.name for found in outcome.tools] == ["calculator"]
        assert await VectorFiller(parts.database, parts.spaces, parts.categories).fill() == len(TOOLS)
        outcome = await find(parts, "what will the weather be")
        assert (outcome.notice, [found.name for found in outcome.tools]) == ("", ["get_weather"])
        assert (await parts.spaces.active_space()).space.dimensions == 128


async def test_such_a_model_is_told_for_queries_that_were_embedded_before_too(
    served_settings: Settings, served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, *TOOLS)
    assert (await find(served)).notice == ""
    embedder.dimensions = 128
    async with open_components(served_settings) as parts:
        assert "has other weights" in (await find(parts)).notice
        assert "has other weights" in (await find(parts, "what will the weather be")).notice
        assert await VectorFiller(parts.database, parts.spaces, parts.categories).fill() == len(TOOLS)
        assert (await parts.spaces.active_space()).space.dimensions == 128
        assert (await find(parts, "what will the weather be")).notice == ""


async def test_a_gateway_with_the_former_settings_follows_and_does_not_switch_back(
    settings: Settings, served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, *TOOLS)
    await find(served)
    embedder.models = ("nomic-embed-text", "other-model")
    changed = replace(ALONE, base_url=embedder.url, model="other-model")
    async with open_components(replace(settings, embedder=changed)) as parts:
        await VectorFiller(parts.database, parts.spaces, parts.categories).fill()
        assert await VectorFiller(served.database, served.spaces, served.categories).fill() == 0
        assert (await served.spaces.active_space()).space.model == "other-model"
        assert [found.name for found in (await find(served)).tools] == ["calculator"]
        server = await add_listed(served, tmp_path, tool("new", "A new one"), name="New")
        assert (await server.record()).state == "synced"
        assert await vectors(parts) == 3


async def test_a_query_is_embedded_once_for_all_processes(
    served_settings: Settings, served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    await add_listed(served, tmp_path, *TOOLS)
    embedder.clear()
    first = await find(served)
    queries = [text for text in embedder.embedded if text == "search_query: calculate math expressions"]
    assert len(queries) == 1
    async with open_components(served_settings) as other:
        embedder.clear()
        again = await find(other)
    assert "search_query: calculate math expressions" not in embedder.embedded
    assert [found.name for found in again.tools] == [found.name for found in first.tools]


async def test_a_tool_with_a_text_that_no_model_takes_is_found_by_its_other_texts_and_counted_until_it_changes(
    served: Components, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    embedder.text_fault = lambda text: "nan" if "poison" in text else None
    server = await add_listed(served, tmp_path, *TOOLS, tool("brew", "poison", cups="how many"))
    record = await server.record()
    assert (record.state, record.tools_lacking_vectors) == ("synced", 1)
    assert await value(served.database.url, "SELECT count(name_embedding) FROM tool_embeddings") == 3
    refused = await value(served.database.url, "SELECT refused FROM tool_embeddings WHERE combined_embedding IS NULL")
    assert "unsupported value: NaN" in refused
    embedder.clear()
    assert await VectorFiller(served.database, served.spaces, served.categories).fill() == 0
    assert embedder.texts == []
    server.lists(*TOOLS, tool("brew", "Makes tea", cups="how many"))
    assert (await server.sync()).notice == ""
    assert (await server.record()).tools_lacking_vectors == 0


async def test_a_sync_that_has_no_more_time_leaves_the_rest_to_the_filler_which_takes_combined_texts_first(
    served_settings: Settings, embedder: EmbeddingServer, tmp_path: Path
) -> None:
    many = [tool(f"tool_{number}", f"Does thing number {number}", it="what to do") for number in range(30)]
    async with open_components(served_settings, embed_seconds=0.0) as parts:
        server = await add_listed(parts, tmp_path, *many)
        assert (await server.record()).tools_lacking_vectors == 30
        assert await VectorFiller(parts.database, parts.spaces, parts.categories).fill() == 30
        assert (await server.record()).tools_lacking_vectors == 0
    # Beside those of tools, descriptions of categories are embedded.
    documents = [text for text in embedder.texts if "tool " in text or "thing number" in text]
    assert all("Parameters:" in text for text in documents[:30])
    assert len(documents) == len(set(documents)) == 90
