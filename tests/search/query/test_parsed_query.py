from __future__ import annotations

from collections.abc import Set

import pytest

from gateway.search.query.parsed_query import CountedTerms, query_terms, spelling_candidates, terms_of_each

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
    assert terms_of_each([query], KNOWN) == [terms]


def test_each_term_is_asked_of_the_vocabulary_once() -> None:
    assert query_terms("Creating the events, creating") == {"creating", "creat", "events", "event"}


class AskedTerms(CountedTerms):
    """Counts the guesses that it is asked for."""

    asked = 0

    def known(self, terms: Set[str]) -> Set[str]:
        AskedTerms.asked += len(terms)
        return super().known(terms)


def _unknown(number: int) -> str:
    return f"nobody{'abcdefghij'[number // 10]}{'abcdefghij'[number % 10]}knowsthis"


@pytest.mark.parametrize(("words", "most_guesses"), [(1, 1_700), (8, 13_600), (45, 13_600), (250, 0)])
def test_a_search_guesses_at_a_few_words_and_at_none_of_a_very_long_query(words: int, most_guesses: int) -> None:
    AskedTerms.asked = 0
    query = " ".join(_unknown(number % 100) for number in range(words))
    clauses = [" ".join(_unknown(number % 100) for number in range(place, words, 4)) for place in range(4)]
    terms = terms_of_each([query, *clauses], AskedTerms(KNOWN.counts))
    assert len(terms[0]) == min(words, 100)
    # A word is guessed at once, though a clause has it as well.
    assert most_guesses / 2 <= AskedTerms.asked <= most_guesses


def test_the_clauses_are_corrected_as_the_query_is() -> None:
    texts = ["list calender events, then the wether", "list calender events", "the wether"]
    assert terms_of_each(texts, KNOWN) == [
        ("list", "event", "calendar", "weather"),
        ("list", "event", "calendar"),
        ("weather",),
    ]
    assert terms_of_each(texts, KNOWN, 1)[0] == ("list", "event", "wether", "calendar")


def test_both_the_word_and_its_stem_may_be_mistyped() -> None:
    assert "calendar" in spelling_candidates("calendors")
    assert "colour" in spelling_candidates("colouur")
