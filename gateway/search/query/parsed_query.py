"""A query as an index is asked with it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.catalog.terms import is_stop_word, stem, terms_of
from gateway.search.query.spelling import is_correctable, near_misses

_WORD = re.compile(r"[a-z]+")

MAX_CORRECTED = 8
"""So many words of a search are corrected at most. One has thousands of guesses, and all else waits for them."""

# In characters.
_LONGEST_CORRECTED = 1_000


@dataclass(frozen=True, slots=True)
class ParsedQuery:
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


def terms_of_each(
    texts: Sequence[str], vocabulary: Vocabulary, most_corrected: int = MAX_CORRECTED
) -> list[tuple[str, ...]]:
    """The terms of each text, each once; for a word that no tool knows, the commonest term that one error makes of it.

    `texts` are a query and its clauses: what is corrected in the one is in the others.
    """
    meant = {word: _meant_by(word, vocabulary) for word in unknown_words(texts, vocabulary, most_corrected)}
    return [_terms(text, meant) for text in texts]


def query_terms(query: str) -> set[str]:
    """The terms that a vocabulary is asked for before it is known which words it knows."""
    words = _words(query)
    return {*words, *(stem(word) for word in words)}


def unknown_words(texts: Sequence[str], vocabulary: Vocabulary, most: int = MAX_CORRECTED) -> list[str]:
    """The words of a query and its clauses, at most so many, that no tool knows: mistyped perhaps.

    Of a very long query none: nobody has typed it, and it is about much else.
    """
    if any(len(text) > _LONGEST_CORRECTED for text in texts):
        return []
    words = dict.fromkeys(word for text in texts for word in _words(text) if is_correctable(word))
    unknown = (word for word in words if not vocabulary.found_in(stem(word)) and not vocabulary.found_in(word))
    return list(itertools.islice(unknown, most))


def spelling_candidates(word: str) -> set[str]:
    """The terms that may have been meant by a mistyped word."""
    return set().union(*map(near_misses, {word, stem(word)}))


def _meant_by(word: str, vocabulary: Vocabulary) -> str:
    near = {guess: vocabulary.found_in(guess) for guess in vocabulary.known(spelling_candidates(word))}
    best = max(sorted(near), key=near.__getitem__, default="")
    return best if near.get(best) else ""


def _terms(text: str, meant: Mapping[str, str]) -> tuple[str, ...]:
    terms = dict.fromkeys(terms_of(text))
    for word in _words(text) if any(meant.values()) else ():
        if best := meant.get(word):
            terms.pop(stem(word), None)
            terms[best] = None
    return tuple(terms)


def _words(query: str) -> list[str]:
    return [word for word in dict.fromkeys(_WORD.findall(query.lower())) if not is_stop_word(word)]
