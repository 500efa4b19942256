from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.search.index.opensearch.documents import MAX_COUNTED, features, term_clauses
from gateway.search.index.postings import K1, B


@given(st.integers(1, MAX_COUNTED), st.integers(1, 5_000), st.floats(1, 500), st.floats(0.01, 20))
def test_a_feature_and_its_clause_make_bm25_whatever_the_mean_length(
    count: int, length: int, mean: float, weight: float
) -> None:
    length = max(length, count)
    (name, stored), *_ = features({"cat": count}, length).items()
    (clause,) = (
        clause["rank_feature"]
        for clause in term_clauses("words", "cat", weight, mean)
        if clause["rank_feature"]["field"] == f"words.{name}"
    )
    pivot = clause["saturation"]["pivot"]
    # As Lucene keeps it: the upper 17 bits.
    kept = (np.float32(stored).view(np.uint32) >> 15 << 15).view(np.float32)
    scored = clause["boost"] * kept / (kept + pivot)
    bm25 = weight * count / (count + K1 * (1 - B + B * length / mean))
    assert scored == pytest.approx(bm25, rel=2e-3)


def test_a_term_that_stands_ever_so_often_counts_as_at_the_most() -> None:
    assert list(features({"cat": 40}, 100)) == [f"{MAX_COUNTED}:cat"]
    assert features({}, 1) == {}
