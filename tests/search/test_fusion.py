from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.search.calibration import Calibration
from gateway.search.fusion import Candidate, fuse

CALIBRATION = Calibration(combined_mean=0.05, name_mean=0.04, description_mean=0.04, unit=0.09)
TOOLS = 500

cosines = st.floats(-1, 1)
words = st.floats(0, 60)
candidates = st.lists(
    st.builds(
        Candidate,
        tool_id=st.integers(1, 1_000_000),
        combined=cosines | st.none(),
        name=cosines | st.none(),
        description=cosines | st.none(),
        lexical=words,
    ),
    max_size=30,
    unique_by=lambda candidate: candidate.tool_id,
)


def tool(tool_id: int, cosine: float | None, lexical: float) -> Candidate:
    return Candidate(tool_id, cosine, cosine, cosine, lexical)


def crowd(cosine: float | None = 0.12, lexical: float = 1.0) -> list[Candidate]:
    """Tools that have little to do with the query."""
    shifts = [None] * 20 if cosine is None else [cosine - 0.01 * step for step in range(20)]
    return [tool(100 + step, shift, max(lexical - 0.05 * step, 0.0)) for step, shift in enumerate(shifts)]


def test_no_candidates_have_no_scores() -> None:
    assert fuse([], CALIBRATION, 10.0, TOOLS) == []


def test_a_clear_answer_passes_and_nothing_else_does() -> None:
    scores = fuse([*crowd(), tool(1, 0.6, 16.0)], CALIBRATION, 26.0, TOOLS)
    assert scores[-1] > 0.8
    assert max(scores[:-1]) < 0.2


def test_nothing_passes_where_nothing_fits() -> None:
    assert max(fuse(crowd(0.2, 3.0), CALIBRATION, 60.0, TOOLS)) < 0.2


def test_nothing_passes_where_no_word_is_known() -> None:
    assert max(fuse(crowd(0.15, 0.0), CALIBRATION, 0.0, TOOLS)) < 0.2


def test_a_clear_answer_passes_by_words_alone() -> None:
    scores = fuse([*crowd(None, 2.0), tool(1, None, 16.0)], Calibration(), 22.0, TOOLS)
    assert scores[-1] > 0.5
    assert max(scores[:-1]) < 0.2


def test_a_weak_match_by_words_alone_does_not_pass() -> None:
    assert max(fuse(crowd(None, 4.0), Calibration(), 60.0, TOOLS)) < 0.2


def test_without_vectors_the_rank_is_that_of_bm25() -> None:
    listed = [tool(step, None, float(step * 7 % 20)) for step in range(20)]
    scores = fuse(listed, CALIBRATION, 30.0, TOOLS)
    assert sorted(listed, key=lambda candidate: candidate.lexical) == [
        candidate for _, candidate in sorted(zip(scores, listed, strict=True), key=lambda pair: pair[0])
    ]


def test_a_tool_not_embedded_yet_competes_by_its_words() -> None:
    scores = fuse([*crowd(), tool(1, None, 16.0), tool(2, 0.2, 3.0)], CALIBRATION, 22.0, TOOLS)
    assert scores[-2] == max(scores)
    assert scores[-2] > 0.5


def test_a_missing_vector_of_one_kind_leaves_the_others_to_judge() -> None:
    full = tool(1, 0.6, 16.0)
    with_all = fuse([*crowd(), full], CALIBRATION, 26.0, TOOLS)[-1]
    without_description = fuse([*crowd(), replace(full, description=None)], CALIBRATION, 26.0, TOOLS)[-1]
    assert without_description == pytest.approx(with_all, abs=0.02)


def test_two_tools_that_fit_alike_are_less_sure_than_one() -> None:
    one = fuse([*crowd(), tool(1, 0.45, 10.0)], CALIBRATION, 26.0, TOOLS)[-1]
    two = fuse([*crowd(), tool(2, 0.43, 9.8), tool(1, 0.45, 10.0)], CALIBRATION, 26.0, TOOLS)[-1]
    assert two < one


def test_the_same_tool_on_another_server_is_no_rival() -> None:
    one, copy = Candidate(1, 0.45, 0.5, 0.4, 10.0), Candidate(2, 0.44, 0.5, 0.4, 9.9)
    alone = fuse([*crowd(), one], CALIBRATION, 26.0, TOOLS)[-1]
    *_, first, second = fuse([*crowd(), one, copy], CALIBRATION, 26.0, TOOLS)
    assert first == pytest.approx(alone)
    assert second == pytest.approx(first, abs=0.1)


def test_a_higher_cosine_level_of_the_space_changes_nothing() -> None:
    # 0.5 + x / 2 of each cosine, as in a space in which unrelated texts lie at 0.5.
    listed = [*crowd(), tool(1, 0.6, 16.0)]
    raised = [
        tool(candidate.tool_id, 0.5 + candidate.combined / 2, candidate.lexical)
        for candidate in listed
        if candidate.combined is not None
    ]
    calibration = Calibration(0.525, 0.52, 0.52, 0.045)
    assert fuse(raised, calibration, 26.0, TOOLS) == pytest.approx(fuse(listed, CALIBRATION, 26.0, TOOLS))


def test_the_only_tool_has_to_fit_too() -> None:
    assert fuse([tool(1, 0.08, 0.0)], CALIBRATION, 0.0, 1)[0] < 0.2
    assert fuse([tool(1, 0.55, 0.6)], CALIBRATION, 0.7, 1)[0] > 0.5


def test_more_candidates_of_little_worth_change_no_score() -> None:
    few = fuse([tool(1, 0.5, 12.0), *crowd()], CALIBRATION, 26.0, TOOLS)
    many = fuse(
        [tool(1, 0.5, 12.0), *crowd(), *(tool(900 + i, -0.1, 0.0) for i in range(50))], CALIBRATION, 26.0, TOOLS
    )
    assert many[: len(few)] == pytest.approx(few)


@given(candidates, st.floats(0, 500), st.integers(0, 1_000_000))
def test_every_score_is_a_number_from_0_to_1(found: list[Candidate], ceiling: float, tools: int) -> None:
    scores = fuse(found, CALIBRATION, ceiling, tools)
    assert len(scores) == len(found)
    assert all(math.isfinite(score) and 0 <= score <= 1 for score in scores)


@given(candidates, st.floats(0, 500))
def test_the_order_of_candidates_does_not_matter(found: list[Candidate], ceiling: float) -> None:
    forwards = fuse(found, CALIBRATION, ceiling, TOOLS)
    backwards = fuse(found[::-1], CALIBRATION, ceiling, TOOLS)
    assert sorted(backwards) == pytest.approx(sorted(forwards))


@given(cosines, cosines, words, words, st.floats(0, 500))
def test_who_is_nearer_and_shares_more_words_ranks_higher(
    one: float, other: float, few: float, many: float, ceiling: float
) -> None:
    worse, better = tool(1, min(one, other), min(few, many)), tool(2, max(one, other), max(few, many))
    low, high = fuse([worse, better, *crowd()], CALIBRATION, ceiling, TOOLS)[:2]
    assert low <= high
