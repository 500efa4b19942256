"""The checks that every vector passes before anyone else sees it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from gateway.embedding.embedder import Vectors
from gateway.errors import BadVectorError, ModelChangedError


def validate_vectors(rows: Any, *, count: int, dimensions: int | None, embedder: str, model: str) -> Vectors:
    """`rows`, as an embedder gave them, as float32 of shape (count, d) with rows of length 1.

    `dimensions` is the d they have to have, None while it is not known. `embedder` and `model` are named in the error.
    Raises BadVectorError for a wrong count, rows that are not lists of numbers, NaN, infinity, and a row of zeros, and
    of these ModelChangedError for a wrong dimension.
    """
    who = f"{embedder} returned"
    try:
        # float64 first: a number that float32 cannot hold must not become infinite on the way.
        matrix = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadVectorError(
            f"{who} something else than lists of numbers of one length for model {model}",
            "check that it is an embedding model and that embedder.base_url is right",
        ) from None
    if matrix.shape[:1] != (count,):
        raise BadVectorError(
            f"{who} {len(matrix) if matrix.ndim else 0} vectors for {count} texts with model {model}",
            "set embedder.batch_size to 1, or use a server that answers every text",
        )
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise BadVectorError(
            f"{who} an empty or nested vector for model {model}",
            "check that it is an embedding model and that embedder.base_url is right",
        )
    if dimensions is not None and matrix.shape[1] != dimensions:
        raise ModelChangedError(
            f"{who} a vector of {matrix.shape[1]} dimensions for model {model}, which had {dimensions} before",
            "where the model behind that name was changed, all tools are embedded anew by themselves",
        )
    if not np.isfinite(matrix).all():
        raise BadVectorError(
            f"{who} a vector with NaN or infinity in it for model {model}",
            "update that server or the model, or choose another embedder.model",
        )
    return normalize_vectors(matrix, embedder=embedder, model=model)


def check_vectors(rows: Any, *, count: int, dimensions: int | None, embedder: str, model: str) -> list[Vectors | str]:
    """`rows` as in `validate_vectors`, each by itself: its vector, float32 of shape (d,), or what is wrong with it.

    Raises BadVectorError for a wrong count, and ModelChangedError where all have another dimension than `dimensions`.
    """
    try:
        return list(validate_vectors(rows, count=count, dimensions=dimensions, embedder=embedder, model=model))
    except BadVectorError:
        if not isinstance(rows, list) or len(rows) != count:
            raise
    lengths = Counter(len(row) for row in rows if isinstance(row, list))
    expected = dimensions if dimensions is not None else max(lengths, key=lengths.__getitem__, default=None)
    checked: list[Vectors | str] = []
    errors: list[BadVectorError] = []
    for row in rows:
        try:
            vectors = validate_vectors([row], count=1, dimensions=expected, embedder=embedder, model=model)
            checked.append(vectors[0])
        except BadVectorError as error:
            checked.append(error.detail)
            errors.append(error)
    if len(errors) == count and all(isinstance(error, ModelChangedError) for error in errors):
        raise errors[0]
    return checked


def normalize_vectors(matrix: np.ndarray[Any, np.dtype[np.floating[Any]]], *, embedder: str, model: str) -> Vectors:
    """Finite rows, shape (n, d), as float32 rows of length 1. Raises BadVectorError for a row of zeros."""
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    if not largest.all():
        raise BadVectorError(
            f"{embedder} returned a vector of zeros for model {model}",
            "update that server or the model, or choose another embedder.model",
        )
    # Scaled by the largest value first, so that no square overflows or vanishes.
    scaled = matrix / largest
    vectors: Vectors = (scaled / np.linalg.norm(scaled, axis=1, keepdims=True)).astype(np.float32)
    return vectors
