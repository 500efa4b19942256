"""The builtin model, loaded once for all the gateways that the tests of one process start."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from gateway.embedding.embedder import EmbeddingSpace, Vectors
from gateway.embedding.local import builtin
from gateway.embedding.local.local_embedder import LocalModel

_PACKAGED = builtin.model_folder


class RememberingModel:
    """A model that does not work out a vector twice: it is the same each time."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._documents: dict[str, Vectors] = {}
        self._queries: dict[str, Vectors] = {}

    @property
    def space(self) -> EmbeddingSpace:
        return self._model.space

    def embed(self, texts: Sequence[str]) -> Vectors:
        for text in texts:
            if text not in self._documents:
                self._documents[text] = self._model.embed([text])[0]
        return np.stack([self._documents[text] for text in texts])

    def embed_query(self, text: str) -> Vectors:
        if text not in self._queries:
            self._queries[text] = self._model.embed_query(text)
        vector: Vectors = self._queries[text].copy()
        return vector

    def reads_whole(self, text: str) -> bool:
        return self._model.reads_whole(text)


def shared_builtin_model() -> LocalModel:
    """The model of the package, loaded once; where a test has put another in its place, that one."""
    return _load_once() if builtin.model_folder is _PACKAGED else builtin.load_builtin_model()


@functools.cache
def _load_once() -> RememberingModel:
    return RememberingModel(builtin.load_builtin_model())
