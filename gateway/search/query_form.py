"""A query as an index is asked with it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.catalog.terms import is_stop_word, stem, terms_of
from gateway.search.spelling import near_misses

_WORD = re.compile(r"[a-z]+")
# A query with more words that nobody knows is not mistyped: it is about something else.
_MOST_CORRECTED = 32


@dataclass(frozen=True, slots=True)
class QueryForm:
    """A query, or a clause of one: its terms, and its vector, float32 (d,), where there is one."""

    terms: tuple[str, ...]
    vector: NDArray[np.float32] | None


class Vocabulary(Protocol):
    """The terms of the tools that are searched."""

    def known(self, terms: Set[str]) -> Set[str]:
        """Those of `terms` that a tool may hold: `found_in` is 0 of all others."""
        ...

    def found_in(self, term: str) -> int:
        """How many tools hold `term`."""
        ...


@dataclass(frozen=True, slots=True)
class CountedTerms:
    """A vocabulary of which the terms that matter were counted beforehand."""

    counts: Mapping[str, int]

    def known(self, terms: Set[str]) -> Set[str]:
        """Those of `terms` that were counted."""
        return self.counts.keys() & terms

    def found_in(self, term: str) -> int:
        """How many tools hold `term`."""
        return self.counts.get(term, 0)


def query_terms(query: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The terms of `query`, each once; for a word that no tool knows, the commonest term that one error makes of it."""
    terms = dict.fromkeys(terms_of(query))
    for word in unknown_words(query, vocabulary):
        near = {guess: vocabulary.found_in(guess) for guess in vocabulary.known(guesses_at(word))}
        best = max(sorted(near), key=near.__getitem__, default="")
        if near.get(best):
            terms.pop(stem(word), None)
            terms[best] = None
    return tuple(terms)


def terms_asked_of(query: str) -> set[str]:
    """The terms that a vocabulary is asked for before it is known which words it knows."""
    words = _words(query)
    return {*words, *(stem(word) for word in words)}


def unknown_words(query: str, vocabulary: Vocabulary) -> list[str]:
    """The words of `query`, at most 32, that no tool knows: mistyped perhaps."""
    unknown = (word for word in _words(query) if not vocabulary.found_in(stem(word)) and not vocabulary.found_in(word))
    return list(itertools.islice(unknown, _MOST_CORRECTED))


def guesses_at(word: str) -> set[str]:
    """The terms that may have been meant by a mistyped word."""
    return near_misses(word) | near_misses(stem(word))


def _words(query: str) -> list[str]:
    return [word for word in dict.fromkeys(_WORD.findall(query.lower())) if not is_stop_word(word)]
