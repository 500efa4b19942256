from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.embedding.embedder import EmbeddingSpace
from gateway.embedding.local import builtin
from gateway.embedding.local.builtin import BUILTIN_MODEL, BuiltinEmbedder, model_folder
from gateway.embedding.local.onnx_model import load_onnx_model
from gateway.embedding.local.static_model import load_static_model
from gateway.errors import EmbeddingError
from tests.embedding.local.model_folder import copy_model
from tests.support.embedding import embed_documents

TEXTS = ["Send a message to a channel", "", "git commit", "🦄 zażółć", "x" * 20_000, "{'a': [1, 2]}", "\x00\u200b"]


@pytest.fixture(scope="module")
def embedder() -> BuiltinEmbedder:
    return BuiltinEmbedder()


async def test_documents_come_back_in_order_as_unit_vectors(embedder: BuiltinEmbedder) -> None:
    texts = [f"tool number {number}" for number in range(50)]
    vectors = await embed_documents(embedder, texts)
    assert vectors.shape == (50, 640)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(vectors[37], await embedder.embed_query(texts[37]))


async def test_the_cosine_is_three_quarters_of_the_encoders_and_one_of_the_static_vectors(
    embedder: BuiltinEmbedder,
) -> None:
    texts = ["Rechne eine Summe aus", "Perform mathematical calculations"]
    one, other = await embed_documents(embedder, texts)
    encoded = load_onnx_model(model_folder()).embed(texts)
    static = load_static_model().embed(texts)
    expected = 0.75 * (encoded[0] @ encoded[1]) + 0.25 * (static[0] @ static[1])
    assert one @ other == pytest.approx(expected, abs=1e-6)


async def test_a_query_that_the_encoder_cannot_read_is_found_by_its_static_vector(embedder: BuiltinEmbedder) -> None:
    static = load_static_model()
    documents = ["Perform mathematical calculations", "数学の計算", "Upload a photo"]
    for query in ("数学の計算をする", "计算数学表达式", "вычислить выражение", "수식을 계산하다"):
        similarities = await embed_documents(embedder, documents) @ await embedder.embed_query(query)
        assert similarities == pytest.approx(static.embed(documents) @ static.embed([query])[0], abs=1e-5), query


async def test_between_the_languages_both_cosines_are_weighed(embedder: BuiltinEmbedder) -> None:
    document, query = "Perform mathematical calculations", "Berechne eine mathematische Formel"
    similarity = float((await embed_documents(embedder, [document]))[0] @ await embedder.embed_query(query))
    encoded, static = (
        load_onnx_model(model_folder()).embed([document, query]),
        load_static_model().embed([document, query]),
    )
    cosines = sorted((float(encoded[0] @ encoded[1]), float(static[0] @ static[1])))
    assert cosines[0] < similarity < cosines[1]


async def test_an_english_query_has_the_vector_of_a_document_whatever_else_is_in_it(embedder: BuiltinEmbedder) -> None:
    for query in ("take a screenshot", "what is in this image? " + "aGVsbG8gd29ybGQ" * 20, "?!", "open /root/a.bib"):
        vector = await embedder.embed_query(query)
        assert np.array_equal(vector, (await embed_documents(embedder, [query]))[0]), query


@pytest.mark.parametrize(
    "query",
    [
        "kubectl",
        "PostgreSQL",
        "getUserById",
        "github__create_issue",
        "kubectl apply",
        "list_dir readFile",
        "call getUserById or list_pull_requests",
        "list the pods with kubectl",
    ],
)
async def test_names_are_no_foreign_words(embedder: BuiltinEmbedder, query: str) -> None:
    assert np.array_equal(await embedder.embed_query(query), (await embed_documents(embedder, [query]))[0])


async def test_every_text_gets_a_vector(embedder: BuiltinEmbedder) -> None:
    vectors = await embed_documents(embedder, [*TEXTS, "\ud83d"])
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    "query", ["calculate math expressions", "数学の計算をする", "calcular expresiones matemáticas"]
)
async def test_meaning_is_nearer_than_chance(embedder: BuiltinEmbedder, query: str) -> None:
    asked = await embedder.embed_query(query)
    near, far = await embed_documents(embedder, ["Perform mathematical calculations", "Upload a photo to an album"])
    assert asked @ near > asked @ far


async def test_the_space_and_health_of_the_builtin_embedder(embedder: BuiltinEmbedder) -> None:
    space = EmbeddingSpace("builtin", BUILTIN_MODEL, 640)
    assert BuiltinEmbedder().matches_space(space)
    assert replace(await embedder.space(), build="") == space
    assert len(await embedder.build()) == 64
    health = await embedder.check_health()
    assert health.ok
    assert health.latency_ms is not None


@pytest.mark.parametrize("damage", ["missing", "damaged"])
async def test_a_model_that_is_missing_or_damaged_is_told_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    model = copy_model(tmp_path / "model") / "model.onnx"
    if damage == "missing":
        model.unlink()
    else:
        model.write_bytes(b"not a model")
    monkeypatch.setattr(builtin, "model_folder", lambda: model.parent)
    embedder = BuiltinEmbedder()
    with pytest.raises(EmbeddingError, match=r"model\.onnx.*; run `pip install --force-reinstall modelgate-mcp`"):
        await embedder.embed_query("hello")
    health = await embedder.check_health()
    assert not health.ok
    assert health.next_step == "Run `pip install --force-reinstall modelgate-mcp`."


def test_the_model_is_loaded_late_and_leaves_logging_warnings_and_forks_alone() -> None:
    program = """
import logging, os, sys
import anyio
from gateway.embedding.local.builtin import BuiltinEmbedder
heavy = ("wordllama", "tokenizers", "safetensors", "onnxruntime", "requests")
assert not [name for name in heavy if name in sys.modules]
embedder = BuiltinEmbedder()
anyio.run(embedder.embed_each, ["one", "two"] * 20)
assert not logging.getLogger().handlers and "requests" not in sys.modules
child = os.fork()
if not child:
    embedder._model.embed(["three"] * 20)
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
