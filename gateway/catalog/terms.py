"""The terms of a text: what BM25 counts, the same for a tool and for a query.

Words are split at case and at whatever is no letter or digit, and stemmed (Porter 2, English); runs of Chinese,
Japanese or Korean, which are written without blanks, give their overlapping pairs of characters.
"""

from __future__ import annotations

import functools
import re
import threading

import snowballstemmer

from gateway.catalog.category import split_words

TERMS_VERSION = 2
"""Of the rules in this module: terms that were stored by another version are made anew."""

# PostgreSQL's `english` stop words, which version 1 left out as well.
_STOP_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        """
        i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
        herself it its itself they them their theirs themselves what which who whom this that these those am is are
        was were be been being have has had having do does did doing a an the and but if or because as until while
        of at by for with about against between into through during before after above below to from up down in out
        on off over under again further then once here there when where why how all any both each few more most
        other some such no nor not only own same so than too very s t can will just don should now
        """,
    )
)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")
_SEPARATORS = re.compile(r"[\W_]+")
_MAXIMUM_WORD = 64


# A stemmer keeps what it works on; one thread must not find another's word in it.
_of_thread = threading.local()


def is_stop_word(word: str) -> bool:
    """Whether a word, in lower case, is so common that it tells nothing."""
    return word in _STOP_WORDS


@functools.lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of a word in lower case."""
    stemmer = getattr(_of_thread, "stemmer", None)
    if stemmer is None:
        stemmer = _of_thread.stemmer = snowballstemmer.stemmer("english")
    return str(stemmer.stemWord(word))


def terms_of(text: str) -> list[str]:
    """The terms of `text` in their order, repeated as often as they occur.

    A word that is split at case stands whole as well: GitHub is asked for as `github`, getWeather as `get weather`.
    """
    terms: list[str] = []
    for run in _SEPARATORS.split(text):
        if not run:
            continue
        if _UNSPACED.search(run):
            for unspaced in _UNSPACED.findall(run):
                terms += [unspaced[start : start + 2] for start in range(len(unspaced) - 1)] or [unspaced]
            words = split_words(_UNSPACED.sub(" ", run))
            terms += [stem(word[:_MAXIMUM_WORD]) for word in words if word not in _STOP_WORDS]
            continue
        words = split_words(run)
        terms += [stem(word[:_MAXIMUM_WORD]) for word in words if word not in _STOP_WORDS]
        if len(words) > 1:
            terms.append(stem(run.lower()[:_MAXIMUM_WORD]))
    return terms
