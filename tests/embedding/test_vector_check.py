from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.embedding.embedder import Vectors
from gateway.embedding.vector_check import validate_vectors
from gateway.errors import BadVectorError


def checked(rows: Any, count: int, dimensions: int | None = None) -> Vectors:
    return validate_vectors(rows, count=count, dimensions=dimensions, embedder="Ollama at http://here", model="m-1")


def test_good_rows_become_float32_of_length_one() -> None:
    vectors = checked([[3, 4], [0, -2]], 2)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == pytest.approx(np.array([[0.6, 0.8], [0, -1]]))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1.0, 2.0]], "1 vectors for 2 texts"),
        ([[1.0, 2.0]] * 3, "3 vectors for 2 texts"),
        ([], "0 vectors for 2 texts"),
        (None, "0 vectors for 2 texts"),
        (7, "0 vectors for 2 texts"),
        ([[1.0, 2.0], [1.0]], "something else than lists of numbers"),
        ([[1.0, 2.0], None], "something else than lists of numbers"),
        ([["a", "b"], ["c", "d"]], "something else than lists of numbers"),
        ({"a": 1}, "something else than lists of numbers"),
        ([1.0, 2.0], "an empty or nested vector"),
        ([[], []], "an empty or nested vector"),
        ([[[1.0]], [[2.0]]], "an empty or nested vector"),
        ([[1.0], [2.0]], "1 dimensions for model m-1, which had 2"),
        ([[1.0, 2.0], [math.nan, 1.0]], "NaN or infinity"),
        ([[1.0, 2.0], [None, 1.0]], "NaN or infinity"),
        ([[1.0, 2.0], [math.inf, 1.0]], "NaN or infinity"),
        ([[1.0, 2.0], [0.0, 0.0]], "a vector of zeros"),
    ],
)
def test_an_unusable_vector_is_named_with_embedder_model_and_next_step(rows: Any, expected: str) -> None:
    with pytest.raises(BadVectorError) as caught:
        checked(rows, 2, 2)
    assert expected in caught.value.message
    assert caught.value.message.startswith("Ollama at http://here returned")
    assert "m-1" in caught.value.message
    assert "; " in caught.value.message


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8).filter(any))
def test_every_finite_vector_that_is_not_zero_is_normalised_without_overflow(row: list[float]) -> None:
    vector = checked([row], 1)[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
