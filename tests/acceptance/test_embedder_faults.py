"""An embedder that is down, hangs or is wrong, under a whole gateway: told, seen in the metrics, and over by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import open_components
from gateway.embedding.servers import http_client
from gateway.settings import EmbedderSettings, Settings
from tests.acceptance.test_faults import text_of
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.listed import add_listed, tool
from tests.support.metrics import metric
from tests.support.waiting import until


@pytest.fixture
def ollama() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server


@pytest.fixture
async def gateway(settings: Settings, ollama: EmbeddingServer, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway with two tools, whose vectors are those of the server and of the standby."""
    chosen = EmbedderSettings(type="ollama", base_url=ollama.url, timeout_seconds=2.0, query_budget_ms=5_000)
    async with open_components(replace(settings, embedder=chosen)) as parts, running_gateway(parts) as running:
        await add_listed(parts, tmp_path, tool("paint_wall", "Paint a wall in a colour."), tool("sweep", "Sweep."))
        await VectorFiller(parts.database, parts.spaces, parts.categories).fill()
        yield running


async def failures(gateway: RunningGateway) -> float:
    every = await metric(gateway, "modelgate_embedding_seconds_count")
    return every - await metric(gateway, "modelgate_embedding_seconds_count", outcome="ok")


@pytest.mark.parametrize("fault", [Fault.failing(500), Fault.slow(90), Fault.dimensions(5)], ids=lambda f: f.kind)
async def test_searches_and_calls_go_on_the_metrics_show_it_and_it_is_over_by_itself(
    gateway: RunningGateway, ollama: EmbeddingServer, fault: Fault
) -> None:
    answer = text_of(await gateway.call("tool_search", {"query": "colour the wall"}))
    assert "listed__paint_wall" in answer
    assert "notice" not in answer
    assert await failures(gateway) == 0
    ollama.fault = fault
    answer = text_of(await gateway.call("tool_search", {"query": "make the wall blue"}))
    assert "listed__paint_wall" in answer
    assert "The built-in model answered in place" in answer
    assert "sweep" in text_of(await gateway.call("listed__sweep"))
    ollama.fault = None

    async def is_over() -> bool:
        number = len(ollama.texts)
        return "notice" not in text_of(await gateway.call("tool_search", {"query": f"paint wall {number}"}))

    await until(is_over, 40)
    assert await failures(gateway) > 0


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has failed is left alone for a second, where it is fifteen otherwise."""
    monkeypatch.setattr(http_client, "_PAUSE_SECONDS", 1.0)


@pytest.mark.usefixtures("short_pauses")
async def test_one_that_comes_and_goes_stores_nothing_wrong_and_leaves_no_tool_without_vectors(
    gateway: RunningGateway, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    parts = gateway.parts
    filler = VectorFiller(parts.database, parts.spaces, parts.categories)
    failed = await failures(gateway)
    for turn in range(3):
        ollama.fault = Fault.failing(500)
        await add_listed(parts, tmp_path, tool(f"fold_{turn}", f"Fold {turn} sheets of paper."), name=f"Turn {turn}")
        answer = text_of(await gateway.call("tool_search", {"query": f"fold sheets of paper in turn {turn}"}))
        assert f"fold_{turn}" in answer
        assert "The built-in model answered in place" in answer
        assert await failures(gateway) > failed
        failed = await failures(gateway)
        ollama.fault = None

        async def is_over(turn: int = turn) -> bool:
            query = f"fold sheet {turn} of {len(ollama.texts)}"
            return "notice" not in text_of(await gateway.call("tool_search", {"query": query}))

        await until(is_over, 40)

    async def is_filled() -> bool:
        await filler.fill()
        return await metric(gateway, "modelgate_tools_without_vectors") == 0

    await until(is_filled, 40)
    answer = text_of(await gateway.call("tool_search", {"query": "fold all of the paper"}))
    assert "notice" not in answer
    assert "fold_2" in answer


async def test_one_that_hangs_takes_no_gateway_out_of_service(settings: Settings) -> None:
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        hanging = replace(settings, embedder=EmbedderSettings(type="ollama", base_url=url, standby=False))
        async with open_components(hanging) as parts, running_gateway(parts) as gateway:
            # An orchestrator waits for five seconds.
            ready = await gateway.http.get("/ready", timeout=5)
            assert ready.status_code == 200
            embedder = ready.json()["parts"]["embedder"]
            assert embedder == {"ready": False, "detail": "The embedder has not answered for 1.5 s."}
