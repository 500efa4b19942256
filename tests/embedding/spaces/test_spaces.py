"""Which space serves, as another process may have changed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.database.notices import Notices
from gateway.embedding.embedder import Embedder
from gateway.embedding.local import builtin
from gateway.embedding.local.builtin import BUILTIN_MODEL
from gateway.embedding.local.static_model import STATIC_MODEL, StaticEmbedder
from gateway.embedding.spaces.spaces import Spaces
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.settings import EmbedderSettings, Settings
from tests.embedding.local.model_folder import copy_model
from tests.support.database_proxy import DatabaseProxy
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with, rows
from tests.support.waiting import until

OTHER_SPACE = """
    INSERT INTO embedding_spaces (key, provider, model, dimensions, document_prefix, query_prefix, active)
    SELECT key || $1::text, provider, model || $1::text, dimensions, document_prefix, query_prefix, true
    FROM embedding_spaces WHERE id = $2
"""


TOOLS = [
    tool("calculator", "Perform mathematical calculations", expression="what to calculate"),
    tool("get_weather", "Get the current weather of a city", city="the city"),
]


async def find(parts: Components, query: str = "is it raining outside") -> SearchOutcome:
    return await parts.finder.find(await caller_with(parts), SearchRequest((query,), 5))


async def model_of_searches(parts: Components) -> str:
    return (await parts.spaces.embed_queries(["is it raining outside"])).stored.space.model


async def fill(parts: Components) -> None:
    await VectorFiller(parts.database, parts.spaces, parts.categories).fill()


@asynccontextmanager
async def opened(settings: Settings, **embedder: str) -> AsyncIterator[Components]:
    changed = EmbedderSettings(**embedder)  # type: ignore[arg-type]
    async with open_components(replace(settings, embedder=changed)) as parts:
        yield parts


async def switch(parts: Components, suffix: str) -> None:
    """Another space serves, as if another process had swapped, and nobody is told."""
    former = await rows(parts.database.url, "UPDATE embedding_spaces SET active = false WHERE active RETURNING id")
    await rows(parts.database.url, OTHER_SPACE, suffix, former[0]["id"])


async def test_the_space_that_serves_is_read_anew_while_no_notices_come_in(parts: Components) -> None:
    proxy = DatabaseProxy(parts.database)
    async with proxy.running():
        notices = Notices(proxy.database)
        spaces = Spaces(proxy.database, parts.spaces.embedder, parts.settings.embedder, notices)
        async with notices.listening():
            first = await spaces.active_space()
            assert await spaces.active_space() is await spaces.active_space()
            proxy.close()
            await until(lambda: not notices.connected)
            await switch(parts, "-2")
            second = await spaces.active_space()
            assert second.space.model == first.space.model + "-2"
            proxy.open()
            await until(lambda: notices.connected)
            assert await spaces.active_space() is await spaces.active_space()
            assert await spaces.active_space() == second


async def test_queries_come_back_in_their_order_as_they_do_one_by_one(parts: Components) -> None:
    texts = ["calculate", "is it raining outside", "calculate"]
    together = await parts.spaces.embed_queries(texts)
    assert together.vectors.shape == (3, together.stored.space.dimensions)
    assert together.vectors.dtype == np.float32
    for text, vector in zip(texts, together.vectors, strict=True):
        assert np.array_equal((await parts.spaces.embed_queries([text])).vectors[0], vector)


async def test_what_version_0_1_stored_is_searched_with_its_static_vectors_until_the_new_ones_are_there(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def of_0_1(_: EmbedderSettings, __: object) -> Embedder:
        return StaticEmbedder()

    with monkeypatch.context() as patched:
        patched.setattr("gateway.search.search_parts.choose_embedder", of_0_1)
        async with open_components(settings) as parts:
            await add_listed(parts, tmp_path, *TOOLS)
            assert await model_of_searches(parts) == STATIC_MODEL
    async with open_components(settings) as parts:
        before = await find(parts)
        assert await model_of_searches(parts) == STATIC_MODEL
        await fill(parts)
        assert await model_of_searches(parts) == BUILTIN_MODEL
        after = await find(parts)
    for outcome in (before, after):
        assert (outcome.notice, outcome.tools[0].name) == ("", "get_weather")


async def test_what_a_model_of_a_folder_stored_is_searched_with_it_while_another_is_filled(
    settings: Settings, tmp_path: Path
) -> None:
    former, other = copy_model(tmp_path / "former"), copy_model(tmp_path / "other", "max_tokens = 64\n")
    async with opened(settings, type="onnx", path=str(former)) as parts:
        await add_listed(parts, tmp_path, *TOOLS)
        assert (await model_of_searches(parts)).startswith("former@")
    async with opened(settings, type="onnx", path=str(other)) as parts:
        assert (await model_of_searches(parts)).startswith("former@")
        assert (await find(parts)).notice == ""
        await fill(parts)
        assert (await model_of_searches(parts)).startswith("other@")
    async with opened(settings, type="builtin") as parts:
        # Nothing says any more where the model is.
        assert "stored vectors are of the model other, which is not at embedder.path" in (await find(parts)).notice
        await fill(parts)
        assert await model_of_searches(parts) == BUILTIN_MODEL
        assert (await find(parts)).notice == ""


async def test_the_former_model_serves_while_the_new_one_is_damaged(settings: Settings, tmp_path: Path) -> None:
    async with opened(settings, type="builtin") as parts:
        await add_listed(parts, tmp_path, *TOOLS)
    folder = copy_model(tmp_path / "mine")
    (folder / "model.onnx").write_bytes(b"not a model")
    async with opened(settings, type="onnx", path=str(folder)) as parts:
        outcome = await find(parts)
        assert (outcome.notice, outcome.tools[0].name) == ("", "get_weather")
        assert await model_of_searches(parts) == BUILTIN_MODEL


@pytest.mark.parametrize("kind", ["builtin", "onnx"])
async def test_with_a_damaged_model_tools_are_found_by_their_words_and_one_sentence_says_why(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = copy_model(tmp_path / "mine")
    monkeypatch.setattr(builtin, "model_folder", lambda: folder)
    async with opened(settings, type=kind, path=str(folder)) as parts:
        await add_listed(parts, tmp_path, TOOLS[0])
        assert (await find(parts)).notice == ""
    (folder / "model.onnx").write_bytes(b"not a model")
    async with opened(settings, type=kind, path=str(folder)) as parts:
        server = await add_listed(parts, tmp_path, TOOLS[1], name="Other")
        assert (await server.record()).state == "synced"
        outcome = await find(parts, "weather in a city")
        assert outcome.tools[0].name == "get_weather"
        said = f"Semantic search is unavailable, these results are by words alone: {folder}/model.onnx is damaged"
        assert outcome.notice.startswith(said)


async def test_after_another_process_has_switched_queries_are_embedded_by_the_model_that_it_switched_to(
    parts: Components,
) -> None:
    for _ in range(2):
        assert await model_of_searches(parts) == BUILTIN_MODEL
    static = StaticEmbedder()
    chosen = await parts.spaces.store.register(await static.space())
    await parts.spaces.store.activate(chosen.id)
    embedded = await parts.spaces.embed_queries(["calculate"])
    assert (embedded.stored, embedded.standby_for) == (chosen, "")
    assert np.array_equal(embedded.vectors[0], await static.embed_query("calculate"))
