"""The models that benchmarks measure search with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.sets.labelled import Embedding
from gateway.embedding.embedder import Vectors
from gateway.embedding.local.builtin import BUILTIN_MODEL, load_builtin_model
from gateway.embedding.local.local_embedder import LocalModel
from gateway.embedding.local.static_model import load_static_model


def builtin() -> Embedding:
    """The builtin model."""
    model: list[LocalModel] = []

    def loaded() -> LocalModel:
        if not model:
            model.append(load_builtin_model())
        return model[0]

    def embed(texts: Sequence[str]) -> Vectors:
        return np.concatenate([loaded().embed(texts[start : start + 64]) for start in range(0, len(texts), 64)])

    def embed_queries(texts: Sequence[str]) -> Vectors:
        return np.stack([loaded().embed_query(text) for text in texts])

    return Embedding(BUILTIN_MODEL, embed, embed_queries)


def encoder_only() -> Embedding:
    """The builtin model's encoder without the static vectors."""
    whole = builtin()

    def embed(texts: Sequence[str]) -> Vectors:
        cut = whole.documents(texts)[:, :384]
        vectors: Vectors = cut / np.linalg.norm(cut, axis=1, keepdims=True)
        return vectors

    return Embedding(BUILTIN_MODEL + " 384", embed, embed)


def cut(dimensions: int) -> Embedding:
    """The first dimensions of the builtin encoder alone, as a poorer model."""
    whole = builtin()

    def embed(texts: Sequence[str]) -> Vectors:
        part = whole.documents(texts)[:, :dimensions]
        vectors: Vectors = part / np.linalg.norm(part, axis=1, keepdims=True)
        return vectors

    return Embedding(f"{BUILTIN_MODEL} cut to {dimensions}", embed, embed)


def static() -> Embedding:
    """The static vectors of version 0.1 alone."""
    model = load_static_model()
    return Embedding("static", model.embed, model.embed)


EMBEDDERS = {"builtin": builtin, "encoder": encoder_only, "cut": lambda: cut(96), "static": static}
"""By name, those that the score is checked with."""
