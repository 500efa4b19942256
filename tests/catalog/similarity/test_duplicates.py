"""Vectors that mean the same."""

from __future__ import annotations

import numpy as np

from gateway.catalog.similarity.duplicates import DuplicateRows, find_duplicates
from gateway.embedding.embedder import Vectors


def around(*degrees: float) -> Vectors:
    """Unit vectors in the plane."""
    radians = np.radians(np.array(degrees))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_rows_that_are_near_by_way_of_others_are_one_group() -> None:
    # Ten degrees are a cosine of .985, twenty of .94.
    groups = find_duplicates(around(0, 90, 10, 20, 95), 0.95)
    assert groups == [DuplicateRows((0, 2, 3), 0.9848), DuplicateRows((1, 4), 0.9962)]


def test_rows_of_one_server_are_compared_through_others_alone() -> None:
    vectors = around(0, 1, 2, 90, 91)
    assert [group.rows for group in find_duplicates(vectors, 0.95, [1, 1, 1, 2, 2])] == []
    assert [group.rows for group in find_duplicates(vectors, 0.95, [1, 1, 2, 2, 2])] == [(0, 1, 2)]


def test_thousands_of_equal_rows_are_one_group() -> None:
    assert [len(group.rows) for group in find_duplicates(around(*[30.0] * 3_000))] == [3_000]
    assert find_duplicates(np.empty((0, 2), np.float32)) == []
