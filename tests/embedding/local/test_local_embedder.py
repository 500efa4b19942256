"""What every embedder of this process does, with a model that can be held."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import anyio
import numpy as np
import pytest

from gateway.embedding.embedder import EmbeddingSpace, Vectors
from gateway.embedding.local import local_embedder
from gateway.embedding.local.local_embedder import LocalEmbedder
from gateway.errors import EmbedderUnavailableError, EmbeddingError
from tests.support.embedding import embed_documents

SPACE = EmbeddingSpace("local", "held@1", 2, "document: ", "query: ")


class HeldModel:
    """Embeds queries at once, and documents while `go` is set; `texts` are those that came, after their threads."""

    space = SPACE

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began = threading.Event()
        self.texts: list[tuple[str, str]] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += [(threading.current_thread().name.rpartition("_")[0], text) for text in texts]
        if texts[0].startswith("document"):
            self.began.set()
            assert self.go.wait(10)
        return np.tile(np.array([1, 0], np.float32), (len(texts), 1))

    def embed_query(self, text: str) -> Vectors:
        vector: Vectors = self.embed([text])[0]
        return vector

    def reads_whole(self, text: str) -> bool:
        return len(text) < 1_000


class Loader:
    """Loads `model`; while `failing`, it fails. `loads` counts the tries."""

    def __init__(self, failing: bool = False) -> None:
        self.model = HeldModel()
        self.failing = failing
        self.loads = 0

    def __call__(self) -> HeldModel:
        self.loads += 1
        if self.failing:
            raise EmbeddingError("model.onnx is damaged", "export it again")
        return self.model


async def test_queries_are_answered_while_a_long_batch_of_documents_runs() -> None:
    load = Loader()
    embedder = LocalEmbedder(load, "local", "held")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(embed_documents, embedder, ["a tool"] * 1_000)
        assert await anyio.to_thread.run_sync(load.model.began.wait, 10)
        with anyio.fail_after(5):
            for _ in range(3):
                assert (await embedder.embed_query("calculate")).shape == (2,)
        load.model.go.set()
    assert load.model.texts.count(("embed-queries", "query: calculate")) == 3
    assert load.model.texts.count(("embed-documents", "document: a tool")) == 1_000
    await embedder.aclose()


async def test_callers_that_come_at_once_load_the_model_once() -> None:
    load = Loader()
    embedder = LocalEmbedder(load, "local", "held")
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(embedder.embed_query, "hello")
    assert load.loads == 1
    await embedder.aclose()


async def test_the_space_is_known_by_provider_and_name_before_the_model_is_and_exactly_after() -> None:
    embedder = LocalEmbedder(Loader(), "local", "held@1")
    unprefixed = EmbeddingSpace("local", "held@1", 2)
    assert embedder.matches_space(unprefixed)
    assert not embedder.matches_space(EmbeddingSpace("local", "held@2", 2))
    assert await embedder.space() == SPACE
    assert embedder.matches_space(SPACE)
    assert not embedder.matches_space(unprefixed)
    await embedder.aclose()


async def test_a_model_that_does_not_load_is_told_and_tried_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = Loader(failing=True)
    embedder = LocalEmbedder(load, "local", "held")
    for _ in range(5):
        with pytest.raises(EmbeddingError, match=r"^model.onnx is damaged; export it again\.$"):
            await embedder.embed_query("hello")
    assert load.loads == 1
    health = await embedder.check_health()
    assert (health.ok, health.detail, health.next_step) == (False, "model.onnx is damaged.", "Export it again.")
    load.failing = False
    monkeypatch.setattr(local_embedder, "_FAILURE_SECONDS", 0.0)
    assert (await embedder.embed_query("hello")).shape == (2,)
    assert (await embedder.check_health()).ok
    await embedder.aclose()


async def test_what_has_begun_ends_after_a_close_and_what_comes_later_is_refused() -> None:
    load = Loader()
    embedder = LocalEmbedder(load, "local", "held")
    shapes: list[tuple[int, ...]] = []

    async def embed() -> None:
        shapes.append((await embed_documents(embedder, ["a tool"] * 3)).shape)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(embed)
        assert await anyio.to_thread.run_sync(load.model.began.wait, 10)
        await embedder.aclose()
        with pytest.raises(EmbedderUnavailableError, match="The local embedder is closed"):
            await embedder.embed_query("hello")
        load.model.go.set()
    assert shapes == [(3, 2)]


async def test_an_empty_text_gets_a_vector() -> None:
    load = Loader()
    load.model.go.set()
    embedder = LocalEmbedder(load, "local", "held")
    assert (await embed_documents(embedder, ["", "\ud83d"])).shape == (2, 2)
    assert load.model.texts == [("embed-documents", "document: empty"), ("embed-documents", "document: ?")]
    await embedder.aclose()
