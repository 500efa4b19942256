"""Several servers of one model: what is asked of which."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import numpy as np
import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import open_components
from gateway.embedding.embedder import Embedder
from gateway.embedding.embedder_factory import choose_embedder
from gateway.errors import EmbedderUnavailableError, EmbeddingError
from gateway.search.request import SearchRequest
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.embedding import embed_documents
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with


@pytest.fixture
def second() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server


def chosen(kind: str, server: EmbeddingServer, second: EmbeddingServer) -> EmbedderSettings:
    settings = EmbedderSettings(type="ollama", base_url=server.url, fallback_urls=(second.url,), timeout_seconds=2.0)
    return settings if kind == "ollama" else replace(settings, type="openai", api_key="sk-1")


@pytest.fixture(params=["ollama", "openai"])
async def embedder(
    request: pytest.FixtureRequest, server: EmbeddingServer, second: EmbeddingServer
) -> AsyncIterator[Embedder]:
    opened = await choose_embedder(chosen(request.param, server, second))
    await opened.build()
    await opened.space()
    yield opened
    await opened.aclose()


async def test_the_second_server_is_asked_when_the_first_does_not_answer_and_gives_the_same_vectors(
    embedder: Embedder, server: EmbeddingServer, second: EmbeddingServer
) -> None:
    before = await embedder.embed_query("weather")
    documents = await embed_documents(embedder, ["one", "two"])
    assert second.texts == []
    await anyio.to_thread.run_sync(server.stop)
    assert np.allclose(await embedder.embed_query("weather"), before, atol=1e-5)
    assert np.allclose(await embed_documents(embedder, ["one", "two"]), documents, atol=1e-5)
    health = await embedder.check_health()
    assert health.ok
    assert "does not answer. In its place: " in health.detail


async def test_a_server_with_other_weights_is_not_asked(
    embedder: Embedder, server: EmbeddingServer, second: EmbeddingServer, caplog: pytest.LogCaptureFixture
) -> None:
    second.weights = 7
    await anyio.to_thread.run_sync(server.stop)
    with pytest.raises(EmbedderUnavailableError, match="does not answer"):
        await embedder.embed_query("weather")
    assert isinstance((await embedder.embed_each(["one"])).failure, EmbeddingError)
    assert "has other weights than the first server, and is not asked" in caplog.text
    assert not (await embedder.check_health()).ok


async def test_a_first_server_that_hangs_does_not_keep_a_query_from_the_second(
    embedder: Embedder, server: EmbeddingServer
) -> None:
    server.fault = Fault.slow(1.9)
    assert (await embedder.embed_query("weather")).shape == (256,)


async def test_both_down_is_told_of_the_first(
    embedder: Embedder, server: EmbeddingServer, second: EmbeddingServer
) -> None:
    port = server.url.rpartition(":")[2]
    for each in (server, second):
        await anyio.to_thread.run_sync(each.stop)
    with pytest.raises(EmbedderUnavailableError, match=port):
        await embedder.embed_query("weather")


async def test_while_the_first_is_down_at_a_start_the_second_serves_only_what_is_stored_with_its_build(
    server: EmbeddingServer, second: EmbeddingServer
) -> None:
    opened = await choose_embedder(chosen("ollama", server, second))
    space = await opened.space()
    await opened.aclose()
    await anyio.to_thread.run_sync(server.stop)
    for serving, answers in ((space, True), (replace(space, build="0" * 64), False), (None, False)):
        opened = await choose_embedder(chosen("ollama", server, second), serving)
        if answers:
            assert (await opened.embed_query("weather")).shape == (256,)
            assert await opened.build() == space.build
        else:
            with pytest.raises(EmbedderUnavailableError):
                await opened.embed_query("weather")
        await opened.aclose()


async def test_searches_go_on_by_meaning_with_the_second_server(
    settings: Settings, server: EmbeddingServer, second: EmbeddingServer, tmp_path: Path
) -> None:
    with_both = replace(settings, embedder=replace(chosen("ollama", server, second), standby=False))
    async with open_components(with_both) as parts:
        await add_listed(parts, tmp_path, tool("get_weather", "Get the weather of a city"), tool("add", "Add numbers"))
        await VectorFiller(parts.database, parts.spaces, parts.categories).fill()
        await anyio.to_thread.run_sync(server.stop)
        outcome = await parts.finder.find(await caller_with(parts), SearchRequest(("weather of a city",), 5))
        assert (outcome.tools[0].name, outcome.notice) == ("get_weather", "")
