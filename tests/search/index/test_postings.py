from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.search.index.postings import K1, B, Corpus, Postings, inverse_document_frequency

ROWS = 6
_counts = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4))
_catalogues = st.dictionaries(st.integers(0, ROWS - 1), _counts)
_masks = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS)


def _lengths(catalogue: dict[int, dict[str, int]]) -> np.ndarray:
    return np.array([max(sum(catalogue.get(row, {}).values()), 1) for row in range(ROWS)], np.float32)


def _match(postings: Postings, terms: str, mask: list[bool], lengths: np.ndarray) -> tuple[list[float], float]:
    visible = np.array(mask)
    corpus = Corpus(int(visible.sum()), float(lengths[visible].mean()) if visible.any() else 0.0)
    found = postings.match(terms, visible, lengths, corpus)
    return found.scores.tolist(), found.maximum


@given(_catalogues, _masks, st.text("abcdx", max_size=5))
def test_scores_are_those_of_the_formula(catalogue: dict[int, dict[str, int]], mask: list[bool], terms: str) -> None:
    postings = Postings()
    postings.upsert(catalogue)
    lengths = _lengths(catalogue)
    scores, maximum = _match(postings, terms, mask, lengths)
    seen = [row for row in range(ROWS) if mask[row]]
    mean = sum(lengths[row] for row in seen) / len(seen) if seen else 1
    expected = [0.0] * ROWS
    best = 0.0
    for term in set(terms) if seen else ():
        holders = [row for row in seen if term in catalogue.get(row, {})]
        rarity = math.log(1 + (len(seen) - len(holders) + 0.5) / (len(holders) + 0.5))
        best += rarity * (K1 + 1)
        for row in holders:
            count = catalogue[row][term]
            expected[row] += rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * lengths[row] / mean))
    assert scores == pytest.approx(expected, rel=1e-4)
    assert maximum == pytest.approx(best)


@given(_catalogues, _catalogues, _masks, st.text("abcd", max_size=4))
def test_words_of_rows_that_are_not_visible_shift_no_score(
    catalogue: dict[int, dict[str, int]], others: dict[int, dict[str, int]], mask: list[bool], terms: str
) -> None:
    lengths = _lengths(catalogue)
    alone, together = Postings(), Postings()
    alone.upsert({row: counts for row, counts in catalogue.items() if mask[row]})
    together.upsert(catalogue)
    together.upsert({row: counts for row, counts in others.items() if not mask[row]})
    assert _match(alone, terms, mask, lengths) == _match(together, terms, mask, lengths)


@given(st.lists(st.tuples(st.booleans(), _catalogues), max_size=5))
def test_rows_that_come_and_go_leave_what_is_there(steps: list[tuple[bool, dict[int, dict[str, int]]]]) -> None:
    followed, catalogue = Postings(), dict[int, dict[str, int]]()
    for comes, rows in steps:
        if comes:
            followed.upsert(rows)
            catalogue |= rows
        else:
            followed.remove(rows)
            catalogue = {row: counts for row, counts in catalogue.items() if row not in rows}
    anew = Postings()
    anew.upsert(catalogue)
    everything = [True] * ROWS
    lengths = _lengths(catalogue)
    for term in "abcd":
        assert followed.found_in(term) == anew.found_in(term)
        assert _match(followed, term, everything, lengths) == _match(anew, term, everything, lengths)
    followed.remove(list(catalogue))
    assert [followed.found_in(term) for term in "abcd"] == [0] * 4


def test_a_term_is_counted_in_the_rows_that_are_visible() -> None:
    postings = Postings()
    postings.upsert({0: {"cat": 1}, 1: {"cat": 2, "dog": 1}, 2: {}})
    assert postings.found_in("cat") == 2
    assert postings.found_in("cat", np.array([False, True, True])) == 1
    assert postings.found_in("cow", np.array([True, True, True])) == 0


def test_a_word_that_stands_everywhere_still_says_something() -> None:
    assert inverse_document_frequency(10, 10) > 0
    assert inverse_document_frequency(10, 1) > inverse_document_frequency(10, 5)
