"""What is relied on of Ollama: the double holds to it, and a real one where OLLAMA_TEST_URL names it.

The real one is asked for `all-minilm`, or the model that OLLAMA_TEST_MODEL names; it has to be there.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest

from gateway.embedding.embedder import Embedder
from gateway.embedding.embedder_factory import choose_embedder
from gateway.embedding.servers.ollama_models import OllamaModels
from gateway.errors import EmbeddingError, NotFoundError
from gateway.settings import EmbedderSettings
from tests.doubles.ollama_server import OllamaServer
from tests.support.embedding import embed_documents

REAL = os.environ.get("OLLAMA_TEST_URL", "")


@dataclass(frozen=True)
class Ollama:
    """One that has `model`."""

    url: str
    model: str

    def settings(self, **more: object) -> EmbedderSettings:
        return EmbedderSettings(type="ollama", base_url=self.url, model=self.model, **more)  # type: ignore[arg-type]


@pytest.fixture(
    params=["double", pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="OLLAMA_TEST_URL is not set"))]
)
async def ollama(request: pytest.FixtureRequest) -> AsyncIterator[Ollama]:
    if request.param == "real":
        yield Ollama(REAL, os.environ.get("OLLAMA_TEST_MODEL", "all-minilm"))
        return
    with OllamaServer(models=("all-minilm",), library=("all-minilm",)) as double:
        double.context_length = 512
        yield Ollama(double.url, "all-minilm")


@pytest.fixture
async def embedder(ollama: Ollama) -> AsyncIterator[Embedder]:
    opened = await choose_embedder(ollama.settings())
    yield opened
    await opened.aclose()


async def test_texts_of_all_kinds_get_vectors_in_their_order(embedder: Embedder) -> None:
    texts = [
        "",
        " ",
        "calculator",
        "get weather",
        "工具" * 600,
        "🙂 " * 600,
        "x" * 20_000,
        "\ud83d",
        "a\x00b",
        "weather",
    ]
    vectors = await embed_documents(embedder, texts)
    assert vectors.shape == (len(texts), (await embedder.space()).dimensions)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
    again = await embed_documents(embedder, ["get weather", "calculator"])
    assert np.allclose(again, vectors[[3, 2]], atol=1e-2)
    query = await embedder.embed_query("what is the weather")
    assert query @ vectors[3] > query @ vectors[2]


async def test_the_build_is_the_models_digest_and_health_is_told(embedder: Embedder) -> None:
    build = await embedder.build()
    assert len(build) == 64
    assert (await embedder.space()).build == build
    health = await embedder.check_health()
    assert (health.ok, "answers and has the model" in health.detail) == (True, True)


async def test_an_unknown_model_and_an_impossible_one_are_told_with_what_to_do(ollama: Ollama) -> None:
    for model, said in (
        ("no-such-model-here", "run `ollama pull no-such-model-here`"),
        ("no such", "embedder.model|pull"),
    ):
        opened = await choose_embedder(EmbedderSettings(type="ollama", base_url=ollama.url, model=model))
        with pytest.raises(EmbeddingError, match=said):
            await opened.embed_query("hello")
        await opened.aclose()


async def test_models_are_listed_shown_tested_copied_and_removed(ollama: Ollama) -> None:
    spare = "modelgate-contract-spare"
    async with OllamaModels(ollama.url) as models:
        assert any(model.name.startswith(ollama.model) for model in await models.installed())
        shown = await models.show(ollama.model)
        tested = await models.test(ollama.model, "hello", keep_alive="5m")
        assert shown.dimensions == len(tested.vector)
        await models.copy(ollama.model, spare)
        assert len((await models.test(spare, "hello")).vector) == shown.dimensions
        await models.remove(spare)
        with pytest.raises(NotFoundError):
            await models.show(spare)
        with pytest.raises(EmbeddingError, match="could not pull"):
            await steps_of_pull(models, "modelgate-contract/no-such-model")


async def test_what_is_there_is_pulled_again_at_once(ollama: Ollama) -> None:
    async with OllamaModels(ollama.url) as models:
        assert (await steps_of_pull(models, ollama.model))[-1] == "success"


async def steps_of_pull(models: OllamaModels, name: str) -> list[str]:
    return [step.status async for step in models.pull(name)]
