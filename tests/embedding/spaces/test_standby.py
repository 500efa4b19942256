"""The built-in model beside an embedding server, and models made anew under their names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.embedding.local.builtin import BUILTIN_MODEL
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.space_switch import SpaceSwitch
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with, value
from tests.support.waiting import until

TOOLS = [
    tool("calculator", "Perform mathematical calculations", expression="what to calculate"),
    tool("get_weather", "Get the current weather of a city", city="the city"),
]


@pytest.fixture
def ollama() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server


@pytest.fixture
def with_ollama(settings: Settings, ollama: EmbeddingServer) -> Settings:
    chosen = EmbedderSettings(type="ollama", base_url=ollama.url, timeout_seconds=2.0, query_budget_ms=5_000)
    return replace(settings, embedder=chosen)


@pytest.fixture
async def parts(with_ollama: Settings, tmp_path: Path) -> AsyncIterator[Components]:
    """A gateway with two tools, all of whose vectors are there."""
    async with open_components(with_ollama) as opened:
        await add_listed(opened, tmp_path, *TOOLS)
        await fill(opened)
        yield opened


async def fill(parts: Components) -> int:
    return await VectorFiller(parts.database, parts.spaces, parts.categories).fill()


async def find(parts: Components, query: str) -> SearchOutcome:
    return await parts.finder.find(await caller_with(parts), SearchRequest((query,), 5))


async def serving(parts: Components) -> tuple[str, int]:
    space = (await parts.spaces.active_space()).space
    return space.model, space.dimensions


async def test_a_server_that_is_down_leaves_search_by_meaning_to_the_built_in_model(
    parts: Components, ollama: EmbeddingServer
) -> None:
    assert (await find(parts, "is it going to rain")).notice == ""
    await anyio.to_thread.run_sync(ollama.stop)
    outcome = await find(parts, "will there be rain in my town")
    assert outcome.tools[0].name == "get_weather"
    assert outcome.notice.startswith("The built-in model answered in place of the embedder in use: Ollama at ")
    assert "start it with `ollama serve`" in outcome.notice


async def test_a_query_that_takes_too_long_is_answered_in_time_and_found_in_the_cache_later(
    with_ollama: Settings, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    hurried = replace(with_ollama.embedder, query_budget_ms=400)
    async with open_components(replace(with_ollama, embedder=hurried)) as parts:
        await add_listed(parts, tmp_path, *TOOLS)
        await fill(parts)
        ollama.fault = Fault.slow(1.5, times=1)
        outcome = await find(parts, "will it snow tomorrow")
        assert outcome.tools[0].name == "get_weather"
        assert "nomic-embed-text has not answered within 400 ms" in outcome.notice
        ollama.fault = None

        async def cached() -> bool:
            return not (await find(parts, "will it snow tomorrow")).notice

        await until(cached)


async def test_tools_that_are_synced_while_the_server_is_down_are_found_by_meaning(
    parts: Components, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    await anyio.to_thread.run_sync(ollama.stop)
    await add_listed(parts, tmp_path, tool("send_mail", "Send an e-mail to a person", to="address"), name="Mail")
    with pytest.raises(Exception, match="does not answer"):
        await fill(parts)
    outcome = await find(parts, "write a letter to my colleague")
    assert outcome.tools[0].name == "send_mail"


async def test_without_a_standby_words_are_the_last_resort(
    with_ollama: Settings, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    alone = replace(with_ollama.embedder, standby=False)
    async with open_components(replace(with_ollama, embedder=alone)) as parts:
        await add_listed(parts, tmp_path, *TOOLS)
        await fill(parts)
        assert await value(parts.database.url, "SELECT count(*) FROM embedding_spaces") == 1
        await anyio.to_thread.run_sync(ollama.stop)
        assert (await find(parts, "rain, or weather")).notice.startswith("Semantic search is unavailable")


@pytest.mark.parametrize("made_anew", ["dimensions", "weights"])
async def test_a_model_that_is_made_anew_under_its_name_is_another_space_at_once_and_the_standby_answers_meanwhile(
    parts: Components, ollama: EmbeddingServer, made_anew: str
) -> None:
    setattr(ollama, made_anew, 128)
    plan = await parts.spaces.fill_plan()
    assert plan.failure is None
    outcome = await find(parts, "does it rain over there")
    assert outcome.tools[0].name == "get_weather"
    assert "has other weights" in outcome.notice
    await fill(parts)
    assert await serving(parts) == ("nomic-embed-text", ollama.dimensions)
    outcome = await find(parts, "weather of a city")
    assert (outcome.notice, outcome.tools[0].name) == ("", "get_weather")
    assert await value(parts.database.url, "SELECT count(*) FROM embedding_spaces WHERE is_gone") == 1


@pytest.mark.parametrize("made_anew", ["dimensions", "weights"])
async def test_such_a_model_is_noticed_at_a_start_and_stays_after_the_next_one(
    parts: Components, with_ollama: Settings, ollama: EmbeddingServer, made_anew: str
) -> None:
    setattr(ollama, made_anew, 128)
    async with open_components(with_ollama) as later:
        await fill(later)
        assert await serving(later) == ("nomic-embed-text", ollama.dimensions)
    async with open_components(with_ollama) as again:
        ollama.clear()
        assert await fill(again) == 0
        assert ollama.texts == []
        assert (await find(again, "how cold will it be")).notice == ""


async def test_a_space_of_before_takes_the_build_that_is_first_seen(
    parts: Components, with_ollama: Settings, ollama: EmbeddingServer
) -> None:
    before = (await parts.spaces.active_space()).id
    space = replace((await parts.spaces.active_space()).space, build="")
    url = parts.database.url
    await value(url, f"UPDATE embedding_spaces SET build = '', key = '{space.key}' WHERE id = {before} RETURNING 1")
    async with open_components(with_ollama) as later:
        ollama.clear()
        assert (await later.spaces.configured_space()).id == before
        assert (await later.spaces.configured_space()).space.build
        assert ollama.texts == []


async def test_auto_does_not_go_back_while_the_vectors_of_ollama_serve(
    parts: Components, with_ollama: Settings, ollama: EmbeddingServer
) -> None:
    await anyio.to_thread.run_sync(ollama.stop)
    auto = replace(with_ollama.embedder, type="auto")
    async with open_components(replace(with_ollama, embedder=auto)) as later:
        assert await serving(later) == ("nomic-embed-text", 256)
        outcome = await find(later, "is there a storm coming")
        assert (outcome.tools[0].name, outcome.notice != "") == ("get_weather", True)
        with pytest.raises(Exception, match="does not answer"):
            await fill(later)
        assert await serving(later) == ("nomic-embed-text", 256)


async def test_auto_goes_over_to_ollama_at_a_later_start_and_keeps_the_built_in_space_as_standby(
    settings: Settings, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    await anyio.to_thread.run_sync(ollama.stop)
    auto = replace(settings, embedder=EmbedderSettings(base_url=ollama.url, space_grace_hours=0))
    async with open_components(auto) as parts:
        await add_listed(parts, tmp_path, *TOOLS)
        assert (await serving(parts))[0] == BUILTIN_MODEL
    await anyio.to_thread.run_sync(ollama.start)
    async with open_components(auto) as parts:
        assert (await find(parts, "is it raining")).notice == ""
        await fill(parts)
        await fill(parts)
        assert (await serving(parts))[0] == "nomic-embed-text"
        assert await value(parts.database.url, "SELECT count(*) FROM embedding_spaces") == 2


async def searched(parts: Components) -> set[str]:
    """The models of the spaces that are searched, or are to be."""
    return {record.stored.space.model for record in await parts.spaces.store.records() if record.is_searched}


async def test_a_former_space_is_searched_while_it_stands_by_and_from_when_it_is_to_serve_again(
    settings: Settings, with_ollama: Settings, tmp_path: Path
) -> None:
    async with open_components(settings) as parts:
        await add_listed(parts, tmp_path, *TOOLS)
        await fill(parts)
    async with open_components(with_ollama) as parts:
        await fill(parts)
        await fill(parts)
        assert await serving(parts) == ("nomic-embed-text", 256)
        assert await searched(parts) == {BUILTIN_MODEL, "nomic-embed-text"}
    alone = replace(with_ollama.embedder, standby=False)
    async with open_components(replace(with_ollama, embedder=alone)) as parts:
        await fill(parts)
        assert await searched(parts) == {"nomic-embed-text"}
    async with open_components(settings) as parts:
        before: list[set[str]] = []

        async def note(stored: StoredSpace) -> None:
            before.append(await searched(parts))

        parts.spaces.before_switch(note)
        await fill(parts)
        assert before == [{BUILTIN_MODEL, "nomic-embed-text"}]
        assert (await serving(parts))[0] == BUILTIN_MODEL
        assert await searched(parts) == {BUILTIN_MODEL}


async def test_a_standby_that_is_dropped_is_filled_anew_and_does_not_answer_until_then(
    parts: Components, ollama: EmbeddingServer
) -> None:
    dropped = next(each for each in await parts.spaces.store.records() if each.stored.space.model == BUILTIN_MODEL)
    await SpaceSwitch(parts.spaces.store).drop(dropped.stored.id)
    await anyio.to_thread.run_sync(ollama.stop)
    assert (await find(parts, "will there be rain in my town")).notice.startswith("Semantic search is unavailable")
    async with ollama:
        await fill(parts)
    outcome = await find(parts, "will there be rain in our town")
    assert outcome.tools[0].name == "get_weather"
    assert outcome.notice.startswith("The built-in model answered in place of the embedder in use: Ollama at ")
