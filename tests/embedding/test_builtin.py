from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from gateway.embedding.builtin import BuiltinEmbedder, StaticModel, load_static_model
from gateway.embedding.embedder import EmbeddingSpace
from gateway.errors import EmbeddingError

TEXTS = ["Send a message to a channel", "", "git commit", "🦄 zażółć", "x" * 20_000, "{'a': [1, 2]}", "\x00\u200b"]


@pytest.fixture(scope="module")
def embedder() -> BuiltinEmbedder:
    return BuiltinEmbedder()


async def test_vectors_are_those_of_the_packages_own_loader(embedder: BuiltinEmbedder) -> None:
    import wordllama

    folder = Path(wordllama.__file__).parent
    theirs = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    texts = [text for text in TEXTS if text and len(text) < embedder.max_input_chars]
    expected: Any = theirs.embed(texts, norm=True)
    assert np.allclose(await embedder.embed_documents(texts), expected, atol=1e-6)


async def test_documents_come_back_in_order_as_unit_vectors(embedder: BuiltinEmbedder) -> None:
    texts = [f"tool number {number}" for number in range(150)]
    vectors = await embedder.embed_documents(texts)
    assert vectors.shape == (150, 256)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(vectors[137], await embedder.embed_query(texts[137]))


async def test_every_text_gets_a_vector(embedder: BuiltinEmbedder) -> None:
    vectors = await embedder.embed_documents([*TEXTS, "\ud83d"])
    assert np.isfinite(vectors).all()


async def test_no_texts_give_no_vectors(embedder: BuiltinEmbedder) -> None:
    assert (await embedder.embed_documents([])).shape == (0, 256)


async def test_meaning_is_nearer_than_chance(embedder: BuiltinEmbedder) -> None:
    query = await embedder.embed_query("calculate math expressions")
    near, far = await embedder.embed_documents(["Perform mathematical calculations", "Upload a photo to an album"])
    assert query @ near > query @ far + 0.2


async def test_the_space_and_health_of_the_builtin_embedder(embedder: BuiltinEmbedder) -> None:
    assert await embedder.space() == EmbeddingSpace("builtin", "l2_supercat_256", 256)
    health = await embedder.check_health()
    assert health.ok
    assert health.latency_ms is not None


async def test_callers_that_come_at_once_load_the_model_once() -> None:
    loads: list[StaticModel] = []

    def counted() -> StaticModel:
        loads.append(load_static_model())
        return loads[-1]

    embedder = BuiltinEmbedder(counted)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(embedder.embed_query, "hello")
    assert len(loads) == 1


async def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    embedder = BuiltinEmbedder()
    with pytest.raises(EmbeddingError, match=r'pip install "modelgate-mcp\[embedded\]"'):
        await embedder.embed_query("hello")
    health = await embedder.check_health()
    assert not health.ok
    assert health.next_step == 'Run `pip install "modelgate-mcp[embedded]"`.'


async def test_a_damaged_model_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tokenizers").mkdir()
    (tmp_path / "tokenizers" / "l2_supercat_tokenizer_config.json").write_text("{")
    spec = ModuleSpec("wordllama", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    with pytest.raises(EmbeddingError, match="missing or damaged"):
        await BuiltinEmbedder().space()


def test_the_model_is_loaded_late_and_leaves_logging_warnings_and_forks_alone() -> None:
    program = """
import logging, os, sys
import anyio
from gateway.embedding.builtin import BuiltinEmbedder
heavy = ("wordllama", "tokenizers", "safetensors", "requests")
assert not [name for name in heavy if name in sys.modules]
embedder = BuiltinEmbedder()
anyio.run(embedder.embed_documents, ["one", "two"] * 100)
assert not logging.getLogger().handlers and "requests" not in sys.modules
child = os.fork()
if not child:
    embedder._model.embed(["three"] * 100)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
