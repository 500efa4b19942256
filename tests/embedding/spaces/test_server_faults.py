"""An embedding server that goes wrong while its space serves: named, nothing wrong stored, and over by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import ListedServer, add_listed, tool
from tests.support.rows import caller_with, value
from tests.support.waiting import until

TOOLS = [tool("calculator", "Perform mathematical calculations"), tool("get_weather", "Get the weather of a city")]
MORE = tool("send_mail", "Send an e-mail to a person")


@pytest.fixture
def ollama() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server


@pytest.fixture
async def parts(settings: Settings, ollama: EmbeddingServer) -> AsyncIterator[Components]:
    chosen = EmbedderSettings(type="ollama", base_url=ollama.url, timeout_seconds=2.0, query_budget_ms=400)
    async with open_components(replace(settings, embedder=chosen), embed_seconds=0.0) as opened:
        yield opened


@pytest.fixture
async def listed(parts: Components, tmp_path: Path) -> ListedServer:
    server = await add_listed(parts, tmp_path, *TOOLS)
    await VectorFiller(parts.database, parts.spaces, parts.categories).fill()
    return server


async def find(parts: Components, query: str) -> SearchOutcome:
    return await parts.finder.find(await caller_with(parts), SearchRequest((query,), 5))


async def complete(parts: Components) -> int:
    """How many tools have all their vectors in the space that serves, all of which have its dimensions."""
    return int(
        await value(
            parts.database.url,
            "SELECT count(*) FROM tool_embeddings e JOIN embedding_spaces p ON p.id = e.space_id AND p.active "
            "WHERE e.is_complete AND vector_dims(e.combined_embedding) = p.dimensions",
        )
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(Fault.rate_limited(None), "limits how often it is asked", id="429"),
        pytest.param(Fault.rate_limited("60"), "limits how often it is asked and asks to wait 60 s", id="429 for 60 s"),
        pytest.param(Fault.model_missing(), "does not have the model", id="model removed"),
        pytest.param(Fault.slow(90), "did not answer within", id="200 after 90 s"),
    ],
)
async def test_a_fault_is_named_within_seconds_stores_nothing_wrong_and_is_over_by_itself(
    parts: Components,
    listed: ListedServer,
    ollama: EmbeddingServer,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    said: str,
) -> None:
    caplog.set_level(logging.WARNING)
    listed.lists(*TOOLS, MORE)
    ollama.fault = fault
    await listed.sync()
    filling = asyncio.create_task(
        VectorFiller(parts.database, parts.spaces, parts.categories, every_seconds=0.05).run()
    )
    try:
        await until(lambda: said in caplog.text)
        assert await complete(parts) == 2
        outcome = await find(parts, "does it rain in Oslo today")
        assert outcome.tools[0].name == "get_weather"
        assert outcome.notice.startswith("The built-in model answered in place of the embedder in use: ")
        # Who gave none is asked for a vector there, but for one that was only slow: it would cost as much as a search.
        assert (await parts.spaces.embedder.check_health()).ok == (fault.kind == "slow")
        ollama.fault = None

        async def is_over() -> bool:
            return await complete(parts) == 3 and not (await find(parts, f"write to {len(ollama.texts)}")).notice

        await until(is_over)
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
