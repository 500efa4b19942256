from __future__ import annotations

from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.embedding.embedder import EmbeddingSpace
from gateway.embedding.local.static_model import StaticEmbedder, StaticModel, load_static_model
from gateway.errors import EmbeddingError

TEXTS = ["Send a message to a channel", "git commit", "🦄 zażółć", "{'a': [1, 2]}", "\x00\u200b"]


@pytest.fixture(scope="module")
def model() -> StaticModel:
    return load_static_model()


def test_vectors_are_those_of_the_packages_own_loader(model: StaticModel) -> None:
    import wordllama

    folder = Path(wordllama.__file__).parent
    theirs = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    expected: Any = theirs.embed(TEXTS, norm=True)
    assert np.allclose(model.embed(TEXTS), expected, atol=1e-6)


def test_a_texts_vector_is_the_same_whatever_it_is_embedded_with(model: StaticModel) -> None:
    alone = np.concatenate([model.embed([text]) for text in TEXTS])
    assert np.array_equal(model.embed(TEXTS), alone)
    assert alone.dtype == np.float32


async def test_its_space_is_that_of_version_0_1() -> None:
    embedder = StaticEmbedder()
    space = EmbeddingSpace("builtin", "l2_supercat_256", 256)
    assert embedder.matches_space(space)
    # The build is known once the model is loaded; version 0.1 stored none.
    assert replace(await embedder.space(), build="") == space
    await embedder.aclose()


def installed_at(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    spec = ModuleSpec("wordllama", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)


def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EmbeddingError, match="run `pip install --force-reinstall wordllama`"):
        load_static_model()


def test_a_damaged_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tokenizers").mkdir()
    (tmp_path / "tokenizers" / "l2_supercat_tokenizer_config.json").write_text("{")
    installed_at(monkeypatch, tmp_path)
    with pytest.raises(EmbeddingError, match="static vectors are missing or damaged"):
        load_static_model()
