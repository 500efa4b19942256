from __future__ import annotations

import pytest

from gateway.search.query_form import CountedTerms, guesses_at, query_terms, terms_asked_of, unknown_words

KNOWN = CountedTerms({"calendar": 3, "event": 2, "weather": 1, "creat": 9, "天気": 1, "colour": 1, "color": 4})


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("create events", ("creat", "event")),
        ("calender events", ("event", "calendar")),
        ("the of and", ()),
        ("", ()),
        ("wether wether wether", ("weather",)),
        # Known as it stands: not mistyped.
        ("color", ("color",)),
        # Of two that may have been meant, the commoner one.
        ("coloor", ("color",)),
        # Nothing is near it.
        ("zzzzzzzz", ("zzzzzzzz",)),
        ("明日の天気", ("明日", "日の", "の天", "天気")),
        ("😀", ()),
    ],
)
def test_the_terms_of_a_query(query: str, terms: tuple[str, ...]) -> None:
    assert query_terms(query, KNOWN) == terms


def test_each_term_is_asked_of_the_vocabulary_once() -> None:
    assert terms_asked_of("Creating the events, creating") == {"creating", "creat", "events", "event"}


def test_a_long_query_is_about_something_else_and_not_mistyped() -> None:
    query = " ".join(f"nobody{'abcdefghij'[number // 10]}{'abcdefghij'[number % 10]}" for number in range(100))
    assert len(unknown_words(query, KNOWN)) == 32
    assert len(query_terms(query, KNOWN)) == 100


def test_both_the_word_and_its_stem_may_be_mistyped() -> None:
    assert "calendar" in guesses_at("calendors")
    assert "colour" in guesses_at("colouur")
