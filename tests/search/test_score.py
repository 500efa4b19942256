"""The score: in the order of the ranking, and of the same meaning whatever the embedder's cosines are like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.search.ranking import CosineBaseline, Signals, rank
from gateway.search.score import NAMEABLE, score_of, scores_of

EVERYDAY = CosineBaseline(mean=0.1, deviation=0.1)


def signals_of(cosines: NDArray[np.float64] | None, words: NDArray[np.float64], maximum: float = 12.0) -> Signals:
    tools = len(words)
    ids = np.arange(tools, dtype=np.int64)
    rows = None if cosines is None else cosines[None].astype(np.float32)
    return Signals(ids, ids % 3, rows, words[None].astype(np.float32), np.array([maximum]))


def random_signals(seed: int, tools: int) -> Signals:
    numbers = np.random.default_rng(seed)
    words = np.where(numbers.random(tools) < 0.2, numbers.random(tools) * 8, 0.0)
    return signals_of(numbers.normal(0.15, 0.12, tools), words)


@given(st.integers(0, 10_000), st.integers(1, 200), st.booleans())
def test_no_score_contradicts_the_order(seed: int, tools: int, by_words: bool) -> None:
    signals = random_signals(seed, tools)
    if by_words:
        signals = Signals(signals.tool_ids, signals.servers, None, signals.lexical, signals.max_lexical)
    ranking = rank(signals, EVERYDAY)
    scores = scores_of(signals, ranking, EVERYDAY)[ranking.order]
    assert np.all((scores >= 0) & (scores <= 1))
    assert np.all(np.diff(scores) <= 1e-6)


@given(st.integers(0, 10_000), st.integers(2, 200))
def test_cosines_that_all_lie_high_and_close_together_give_the_same_scores(seed: int, tools: int) -> None:
    signals = random_signals(seed, tools)
    assert signals.cosines is not None
    narrow = Signals(
        signals.tool_ids, signals.servers, 0.8 + np.float32(0.1) * signals.cosines, signals.lexical, signals.max_lexical
    )
    baseline = CosineBaseline(0.8 + 0.1 * EVERYDAY.mean, 0.1 * EVERYDAY.deviation)
    wide_scores = scores_of(signals, rank(signals, EVERYDAY), EVERYDAY)
    narrow_scores = scores_of(narrow, rank(narrow, baseline), baseline)
    assert narrow_scores == pytest.approx(wide_scores, abs=0.01)


def test_a_tool_that_stands_out_is_shown_and_one_that_nothing_speaks_for_is_not() -> None:
    tools = 200
    flat = np.random.default_rng(3).normal(EVERYDAY.mean, 0.05, tools)
    nothing = signals_of(flat, np.zeros(tools))
    assert scores_of(nothing, rank(nothing, EVERYDAY), EVERYDAY).max() < 0.5
    meant = flat.copy()
    meant[17] = 0.75
    words = np.zeros(tools)
    words[17] = 9.0
    standing_out = signals_of(meant, words)
    scores = scores_of(standing_out, rank(standing_out, EVERYDAY), EVERYDAY)
    assert scores[17] > 0.5
    assert np.delete(scores, 17).max() < 0.5


def test_half_is_the_score_of_a_tool_that_is_right_once_in_six() -> None:
    assert score_of(1 / 6) == pytest.approx(0.5)
    assert 0 < score_of(NAMEABLE) < 0.5
