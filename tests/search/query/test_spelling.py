from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.search.query.spelling import near_misses

_words = st.text("abcde", min_size=5, max_size=9)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("calender", "calendar"),
        ("wether", "weather"),
        ("weatther", "weather"),
        ("weahter", "weather"),
        ("issuee", "issue"),
    ],
)
def test_one_error_is_undone(typed: str, meant: str) -> None:
    assert meant in near_misses(typed)


@pytest.mark.parametrize("word", ["cat", "four", "v1beta", "日本語の天気予報", "x" * 25, "", "straße"])
def test_what_is_short_or_no_word_is_taken_as_it_stands(word: str) -> None:
    assert near_misses(word) == set()


@given(_words)
def test_a_near_miss_is_another_word_with_the_same_first_letter_and_about_as_long(word: str) -> None:
    for near in near_misses(word):
        assert near != word
        assert near[0] == word[0]
        assert abs(len(near) - len(word)) <= 1


@given(_words, st.data())
def test_near_is_near_both_ways(word: str, data: st.DataObject) -> None:
    near = data.draw(st.sampled_from(sorted(near for near in near_misses(word) if 5 <= len(near) <= 24)))
    assert word in near_misses(near)
