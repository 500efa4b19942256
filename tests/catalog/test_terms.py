from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.terms import is_stop_word, stem, terms_of


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("create_issue", ["creat", "issu"]),
        ("getWeather", ["get", "weather", "getweath"]),
        ("Feeding all the cats", ["feed", "cat"]),
        ("", []),
        ("the of and", []),
        ("v2 / 3.5", ["v2", "3", "5"]),
        # Runs that are written without blanks give their pairs.
        ("天気予報", ["天気", "気予", "予報"]),
        ("天", ["天"]),
        ("カレンダー を 作成", ["カレ", "レン", "ンダ", "ダー", "を", "作成"]),
        ("날씨예보", ["날씨", "씨예", "예보"]),
        ("GitHubの課題を作成", ["の課", "課題", "題を", "を作", "作成", "git", "hub"]),
        ("😀 !?", []),
    ],
)
def test_the_terms_of_a_text(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_text_has_the_terms_of_its_parts(first: str, second: str) -> None:
    assert terms_of(f"{first}\n{second}") == terms_of(first) + terms_of(second)


@given(st.text(max_size=200))
def test_any_text_has_terms_that_can_be_stored(text: str) -> None:
    for term in terms_of(text):
        assert term
        assert len(term) <= 64
        assert "\x00" not in term
        term.encode()


def test_a_query_and_a_tool_meet_at_the_same_stem() -> None:
    assert stem("calendars") == stem("calendar")
    assert is_stop_word("the")
    assert not is_stop_word("file")
