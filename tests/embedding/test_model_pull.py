"""`embedder.pull`: a gateway whose Ollama lacks the model has it fetched, and goes over to it by itself."""

from __future__ import annotations

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from gateway.components import open_components
from gateway.embedding.model_pull import pull_missing_models
from gateway.settings import EmbedderRoute, EmbedderSettings, Settings
from tests.doubles.ollama_server import OllamaServer
from tests.support.gateway import running_gateway
from tests.support.waiting import until

MODEL = "nomic-embed-text"


async def test_a_gateway_fetches_its_model_at_start_and_is_ready_with_it(settings: Settings) -> None:
    with OllamaServer() as ollama:
        embedder = EmbedderSettings(type="ollama", base_url=ollama.url, pull=True)
        async with open_components(replace(settings, embedder=embedder)) as parts, running_gateway(parts) as gateway:

            async def is_ready() -> bool:
                return bool((await gateway.http.get("/ready")).json()["parts"]["embedder"]["ready"])

            await until(is_ready)
            assert list(ollama.models) == [MODEL]


async def test_what_is_there_is_not_fetched_nor_what_was_not_asked_for() -> None:
    with OllamaServer() as ollama:
        await pull_missing_models(EmbedderSettings(type="ollama", base_url=ollama.url))
        assert not ollama.models
        ollama.models = (f"{MODEL}:latest",)
        await pull_missing_models(EmbedderSettings(type="ollama", base_url=ollama.url, pull=True))
        assert ollama.pulled_from == []


async def test_an_ollama_that_comes_later_is_asked_then_unless_another_embedder_serves() -> None:
    ollama = OllamaServer()
    ollama.start()
    ollama.stop()
    await pull_missing_models(EmbedderSettings(type="auto", base_url=ollama.url, pull=True))
    waiting = pull_missing_models(EmbedderSettings(type="ollama", base_url=ollama.url, pull=True), 0.01)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: waiting)
        await anyio.lowlevel.checkpoint()
        async with ollama:
            await until(lambda: list(ollama.models) == [MODEL])


async def test_a_model_that_cannot_be_fetched_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with OllamaServer() as ollama:
        await pull_missing_models(EmbedderSettings(type="ollama", base_url=ollama.url, model="nope", pull=True))
    assert "could not pull nope" in caplog.text


async def test_models_of_language_routes_are_fetched_each_once() -> None:
    with OllamaServer(library=("bge-m3", MODEL)) as ollama:
        routes = (
            EmbedderRoute(("ja",), "ollama", base_url=ollama.url, model="bge-m3"),
            EmbedderRoute(("zh",), "ollama", base_url=ollama.url, model="bge-m3:latest"),
            EmbedderRoute(("de",), "builtin", base_url=ollama.url),
        )
        await pull_missing_models(EmbedderSettings(type="builtin", route=routes, pull=True))
        assert [model.removesuffix(":latest") for model in ollama.models] == ["bge-m3"]
        assert len(ollama.pulled_from) == 1


async def test_a_route_whose_ollama_is_down_keeps_no_other_model_waiting() -> None:
    down = OllamaServer(library=("bge-m3",))
    down.start()
    down.stop()
    with OllamaServer() as ollama:
        route = EmbedderRoute(("ja",), "ollama", base_url=down.url, model="bge-m3")
        settings = EmbedderSettings(type="ollama", base_url=ollama.url, pull=True, route=(route,))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pull_missing_models, settings, 0.01)
            await until(lambda: list(ollama.models) == [MODEL])
            async with down:
                await until(lambda: list(down.models) == ["bge-m3"])
