"""`embedder.pull`: a gateway whose Ollama lacks the model has it fetched, and goes over to it by itself."""

from __future__ import annotations

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from gateway.components import open_components
from gateway.embedding.model_pull import pull_missing_model
from gateway.settings import EmbedderSettings, Settings
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
        await pull_missing_model(EmbedderSettings(type="ollama", base_url=ollama.url))
        assert not ollama.models
        ollama.models = (f"{MODEL}:latest",)
        await pull_missing_model(EmbedderSettings(type="ollama", base_url=ollama.url, pull=True))
        assert ollama.pulled_from == []


async def test_an_ollama_that_comes_later_is_asked_then_unless_another_embedder_serves() -> None:
    ollama = OllamaServer()
    ollama.start()
    ollama.stop()
    await pull_missing_model(EmbedderSettings(type="auto", base_url=ollama.url, pull=True))
    waiting = pull_missing_model(EmbedderSettings(type="ollama", base_url=ollama.url, pull=True), 0.01)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: waiting)
        await anyio.lowlevel.checkpoint()
        async with ollama:
            await until(lambda: list(ollama.models) == [MODEL])


async def test_a_model_that_cannot_be_fetched_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with OllamaServer() as ollama:
        await pull_missing_model(EmbedderSettings(type="ollama", base_url=ollama.url, model="nope", pull=True))
    assert "could not pull nope" in caplog.text
