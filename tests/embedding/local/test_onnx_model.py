from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.embedding.local.builtin import model_folder
from gateway.embedding.local.onnx_model import OnnxEmbedder, OnnxModel, load_onnx_model
from gateway.errors import EmbeddingError
from tests.embedding.local.model_folder import copy_model
from tests.support.embedding import embed_documents

TEXTS = ["Send a message to a channel", "git commit", "🦄 zażółć", "{'a': [1, 2]}", "word " * 2_000, "\x00\u200b"]


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return load_onnx_model(model_folder())


def error_of(folder: Path) -> EmbeddingError:
    with pytest.raises(EmbeddingError) as refused:
        load_onnx_model(folder)
    return refused.value


def test_vectors_are_float32_of_length_1(model: OnnxModel) -> None:
    vectors = model.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_texts_vector_is_the_same_whatever_it_is_embedded_with(model: OnnxModel) -> None:
    together, backwards = model.embed(TEXTS), model.embed(TEXTS[::-1])[::-1]
    alone = np.concatenate([model.embed([text]) for text in TEXTS])
    assert np.array_equal(together, alone)
    assert np.array_equal(together, backwards)


def test_the_packages_model_reads_192_tokens_of_a_text(model: OnnxModel) -> None:
    # Two of the 192 are those that stand before and after every text.
    assert np.array_equal(*model.embed(["word " * 190, "word " * 190 + "and more"]))
    assert not np.array_equal(*model.embed(["word " * 189, "word " * 189 + "more"]))


def test_a_folder_says_how_much_its_model_reads(tmp_path: Path) -> None:
    model = load_onnx_model(copy_model(tmp_path / "short", 'pooling = "none"\nmax_tokens = 8\n'))
    assert np.array_equal(*model.embed(["one two three four five six", "one two three four five six seven"]))


def test_meaning_is_nearer_than_chance(model: OnnxModel) -> None:
    query, near, far = model.embed(
        ["work out 17 percent of 2,300", "Perform mathematical calculations", "Upload a photo to an album"]
    )
    assert query @ near > query @ far + 0.2


def test_the_space_changes_with_what_is_in_the_folder(tmp_path: Path) -> None:
    first = load_onnx_model(copy_model(tmp_path / "a" / "mine", 'query_prefix = "query: "\n')).space
    assert (first.provider, first.dimensions, first.query_prefix) == ("onnx", 384, "query: ")
    assert re.fullmatch(r"mine@[0-9a-f]{12}", first.model)
    copied = shutil.copytree(tmp_path / "a" / "mine", tmp_path / "b" / "mine")
    assert load_onnx_model(copied).space == first
    (copied / "modelgate.toml").write_text('query_prefix = "query: "\nmax_tokens = 64\n')
    assert load_onnx_model(copied).space.key != first.key


async def test_prefixes_come_before_documents_and_queries(tmp_path: Path, model: OnnxModel) -> None:
    options = 'max_tokens = 192\ndocument_prefix = "passage: "\nquery_prefix = "query: "\n'
    embedder = OnnxEmbedder(copy_model(tmp_path / "prefixed", options))
    expected = model.embed(["passage: a text", "query: a text"])
    assert np.array_equal((await embed_documents(embedder, ["a text"]))[0], expected[0])
    assert np.array_equal(await embedder.embed_query("a text"), expected[1])
    await embedder.aclose()


async def test_the_embedder_knows_its_space_by_the_name_in_it(tmp_path: Path) -> None:
    embedder = OnnxEmbedder(copy_model(tmp_path / "mine"))
    space = await embedder.space()
    assert embedder.matches_space(space)
    # It is not known before the files are read: another model may lie in the folder now.
    assert not OnnxEmbedder(tmp_path / "mine").matches_space(space)
    health = await embedder.check_health()
    assert (health.ok, health.model) == (True, "mine")
    await embedder.aclose()


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_told_by_its_name(tmp_path: Path, file: str) -> None:
    folder = copy_model(tmp_path / "mine")
    (folder / file).unlink()
    error = error_of(folder)
    assert error.detail == f"There is no {file} in {folder}"
    assert error.next_step == "put an exported model there, or set embedder.path"


@pytest.mark.parametrize(
    ("file", "said"),
    [("model.onnx", "is damaged or no ONNX model"), ("tokenizer.json", "is damaged or no tokenizer")],
)
@pytest.mark.parametrize("kept", [0, 10_000])
def test_a_damaged_file_is_told_by_its_name(
    tmp_path: Path, file: str, said: str, kept: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = copy_model(tmp_path / "mine") / file
    path.write_bytes(path.read_bytes()[:kept])
    assert error_of(path.parent).detail == f"{path} {said}"
    assert capfd.readouterr() == ("", "")


def test_options_that_do_not_fit_are_told(tmp_path: Path) -> None:
    assert "unknown key 'dims'" in error_of(copy_model(tmp_path / "mine", "dims = 3\n")).detail


def test_a_tokenizer_of_another_model_is_told(tmp_path: Path) -> None:
    folder = copy_model(tmp_path / "mine")
    path = folder / "tokenizer.json"
    # The tokens of "a text" get numbers that the model has no weights for.
    path.write_text(re.sub(r'"(a|text)": ?\d+', r'"\1": 9999999', path.read_text("utf-8")), "utf-8")
    error = error_of(folder)
    assert re.fullmatch(r"The model mine@[0-9a-f]{12} gives no vector for a text of \d tokens", error.detail)


def test_no_thread_is_left_that_a_fork_could_lose() -> None:
    program = """
import os
import onnxruntime
from gateway.embedding.local.builtin import model_folder
from gateway.embedding.local.onnx_model import load_onnx_model
before = len(os.listdir("/proc/self/task"))
model = load_onnx_model(model_folder())
model.embed(["one", "two"] * 20)
assert len(os.listdir("/proc/self/task")) == before, os.listdir("/proc/self/task")
child = os.fork()
if not child:
    model.embed(["three"] * 20)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_runtime_reports_to_nobody(tmp_path: Path) -> None:
    program = """
from gateway.embedding.local.builtin import model_folder
from gateway.embedding.local.onnx_model import load_onnx_model
load_onnx_model(model_folder()).embed(["one"])
"""
    # It is silent where it believes to be in a build or a test.
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environ, timeout=60, check=True)
    # Else there are the number that it goes by and what it has to send.
    assert list(tmp_path.iterdir()) == []


def test_the_packages_model_is_the_one_that_its_card_describes() -> None:
    digest = hashlib.sha256((model_folder() / "model.onnx").read_bytes()).hexdigest()
    assert digest in (model_folder() / "MODEL.md").read_text("utf-8")
