from __future__ import annotations

import pytest

from gateway.search.rerank.reranker import complete_order, read_places


def test_places_that_are_not_there_or_come_twice_are_left_out() -> None:
    assert read_places([3, 0, 99, -1, 3, True, "1", 1.0, None, 0], 4) == [3, 0]


@pytest.mark.parametrize(
    ("ranked", "order"),
    [
        ([], (0, 1, 2, 3, 4)),
        ([4], (0, 1, 2, 3, 4)),
        ([4, 0], (4, 1, 2, 3, 0)),
        ([3, 1, 2], (0, 3, 1, 2, 4)),
        ([4, 3, 2, 1, 0], (4, 3, 2, 1, 0)),
    ],
)
def test_what_a_model_leaves_out_keeps_its_place(ranked: list[int], order: tuple[int, ...]) -> None:
    assert complete_order(ranked, 5) == order
