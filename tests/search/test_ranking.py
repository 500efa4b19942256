from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.search.ranking import ASSUMED_BASELINE, SHORTLIST, Signals, coverage, rank

_numbers = st.floats(0, 1, width=32)


def _signals(
    cosines: list[list[float]] | None,
    lexical: list[list[float]],
    servers: list[int] | None = None,
    maximum: float = 5.0,
) -> Signals:
    tools = len(lexical[0])
    return Signals(
        np.arange(1, tools + 1),
        np.array(servers or [1] * tools, np.int64),
        None if cosines is None else np.array(cosines, np.float32),
        np.array(lexical, np.float32),
        np.full(len(lexical), maximum),
    )


def _best(signals: Signals) -> list[int]:
    ranking = rank(signals, ASSUMED_BASELINE)
    return [int(signals.tool_ids[place]) for place in ranking.order]


def test_meaning_and_words_both_count() -> None:
    assert _best(_signals([[0.1, 0.5, 0.3]], [[0, 0, 0]])) == [2, 3, 1]
    assert _best(_signals([[0.3, 0.3, 0.3]], [[0, 1, 2]])) == [3, 2, 1]
    assert _best(_signals(None, [[0, 1, 2]])) == [3, 2, 1]


def test_equal_tools_stand_in_the_order_of_their_ids() -> None:
    assert _best(_signals([[0.3] * 5], [[1.0] * 5])) == [1, 2, 3, 4, 5]


def test_a_tool_without_a_vector_can_still_be_the_best() -> None:
    assert _best(_signals([[0.2, float("nan"), 0.1]], [[0, 5, 0]]))[0] == 2


def test_words_weigh_more_where_they_cover_the_query() -> None:
    # The one tool means it, the other has its words.
    told = _signals([[0.5, 0.3, *[0.1] * 30]], [[0, 2, *[0] * 30]], maximum=20.0)
    named = _signals([[0.5, 0.3, *[0.1] * 30]], [[0, 2, *[0] * 30]], maximum=2.0)
    gap = [rank(signals, ASSUMED_BASELINE).fused[:2] for signals in (told, named)]
    assert gap[1][1] - gap[1][0] > gap[0][1] - gap[0][0]
    assert coverage(named) == pytest.approx(1)
    assert coverage(told) == pytest.approx(0.1)


def test_a_clause_brings_forward_the_tool_that_it_is_about() -> None:
    whole = [0.3, 0.31, 0.1, 0.1]
    clauses = [[0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.5, 0.1]]
    silent = [[0.0] * 4] * 3
    assert _best(_signals([whole], silent[:1]))[0] == 2
    assert _best(_signals([whole, *clauses], silent))[0] == 1


def test_a_server_whose_tools_all_fit_is_preferred() -> None:
    cosines = [[0.5, 0.48, 0.47, 0.5, 0.1, 0.1]]
    assert _best(_signals(cosines, [[0] * 6], [2, 1, 1, 1, 2, 2]))[0] == 4


@given(st.lists(st.tuples(_numbers, _numbers, st.integers(1, 3)), min_size=1, max_size=30))
def test_the_order_is_that_of_the_rank_values(tools: list[tuple[float, float, int]]) -> None:
    cosines, lexical, servers = zip(*tools, strict=True)
    ranking = rank(_signals([list(cosines)], [list(lexical)], list(servers)), ASSUMED_BASELINE)
    assert sorted(ranking.order.tolist()) == list(range(len(tools)))
    ordered = ranking.fused[ranking.order]
    assert (np.diff(ordered) <= 0).all()
    assert np.isfinite(ordered).all()


def test_none_is_ranked_where_none_is_there_and_a_shortlist_where_there_are_many() -> None:
    assert len(rank(_signals([[]], [[]]), ASSUMED_BASELINE).order) == 0
    many = rank(_signals([[0.1] * 1_000], [[0.0] * 999 + [1.0]]), ASSUMED_BASELINE)
    assert len(many.order) == SHORTLIST
    assert many.order[0] == 999
