"""BM25 over rows: which rows hold a term, how often, and how long each row is."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

K1, B = 1.2, 0.75
"""Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009."""

Rows = NDArray[np.int32]
_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TermRows:
    """The rows that hold a term, int32 (n,), and how often each does, float32 (n,)."""

    rows: Rows
    frequencies: _Floats


@dataclass(frozen=True, slots=True)
class Corpus:
    """What frequencies are counted over: the number of tools, and their mean length in terms."""

    tools: int
    mean_length: float


@dataclass(frozen=True, slots=True)
class TermMatches:
    """BM25 of rows for one query: `scores` float32 by row, and the `maximum`, what a row with every term could have."""

    scores: _Floats
    maximum: float


_NO_ROWS = TermRows(np.empty(0, np.int32), np.empty(0, np.float32))
# Two arrays, what holds them, the term and its place in a dictionary, as CPython and NumPy lay them out.
_BYTES_PER_TERM = 450
# Four bytes of a row, four of a frequency, four in the row's own list of terms.
_BYTES_PER_POSTING = 12
_BYTES_PER_ROW = 200


def inverse_document_frequency(tools: int, found_in: int) -> float:
    """How rare a term is that `found_in` of `tools` tools hold; more than 0."""
    return math.log(1 + (tools - found_in + 0.5) / (found_in + 0.5))


def bm25(terms: Iterable[TermRows], lengths: _Floats, corpus: Corpus) -> TermMatches:
    """BM25 of every row for the terms of a query, each given once, 0 for a row without any; `lengths` by row."""
    scores = np.zeros(len(lengths), np.float32)
    maximum = 0.0
    if not corpus.tools:
        return TermMatches(scores, maximum)
    mean = max(corpus.mean_length, 1.0)
    for term in terms:
        rarity = inverse_document_frequency(corpus.tools, len(term.rows))
        maximum += rarity * (K1 + 1)
        if len(term.rows):
            norm = np.float32(K1) * (np.float32(1 - B) + np.float32(B / mean) * lengths[term.rows])
            scores[term.rows] += np.float32(rarity * (K1 + 1)) * term.frequencies / (term.frequencies + norm)
    return TermMatches(scores, maximum)


def _seen_of(term_rows: TermRows, visible: NDArray[np.bool_]) -> TermRows:
    kept = visible[term_rows.rows]
    return TermRows(term_rows.rows[kept], term_rows.frequencies[kept])


class Postings:
    """Rows by term. Rows are small integers; a term that no row holds any more is forgotten."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._terms: list[str] = []
        self._postings: list[TermRows] = []
        self._free_codes: list[int] = []
        self._codes_of_row: dict[int, NDArray[np.int32]] = {}
        self._count = 0

    @property
    def size_bytes(self) -> int:
        """What they take in memory, roughly."""
        rows = _BYTES_PER_ROW * len(self._codes_of_row)
        return _BYTES_PER_TERM * len(self._codes) + _BYTES_PER_POSTING * self._count + rows

    def known(self, terms: Set[str]) -> Set[str]:
        """Those of `terms` that a row holds."""
        return self._codes.keys() & terms

    def found_in(self, term: str, visible: NDArray[np.bool_] | None = None) -> int:
        """How many rows hold `term`, of those that are `visible` (by row; None: of all)."""
        code = self._codes.get(term)
        if code is None:
            return 0
        rows = self._postings[code].rows
        return len(rows) if visible is None else int(np.count_nonzero(visible[rows]))

    def upsert(self, counts_by_row: Mapping[int, Mapping[str, int]]) -> None:
        """Each of these rows holds the terms given, and no others."""
        self.remove(counts_by_row)
        if not counts_by_row:
            return
        for row, counts in counts_by_row.items():
            self._codes_of_row[row] = np.array([self._code(term) for term in counts], np.int32)
        lengths = [len(counts) for counts in counts_by_row.values()]
        codes = np.concatenate([self._codes_of_row[row] for row in counts_by_row])
        rows = np.repeat(np.array(list(counts_by_row), np.int32), lengths)
        counted = chain.from_iterable(counts.values() for counts in counts_by_row.values())
        frequencies = np.fromiter(counted, np.float32, len(codes))
        self._count += len(codes)
        # By term: those of one stand together, in the order of their rows.
        order = np.argsort(codes, kind="stable")
        codes, rows, frequencies = codes[order], rows[order], frequencies[order]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        ends = [*starts[1:].tolist(), len(codes)]
        for code, start, end in zip(codes[starts].tolist(), starts.tolist(), ends, strict=False):
            known = self._postings[code]
            self._postings[code] = TermRows(
                np.concatenate([known.rows, rows[start:end]]),
                np.concatenate([known.frequencies, frequencies[start:end]]),
            )

    def remove(self, rows: Collection[int]) -> None:
        """These rows hold nothing any more."""
        held = [codes for row in rows if (codes := self._codes_of_row.pop(row, None)) is not None]
        if not held:
            return
        self._count -= sum(len(codes) for codes in held)
        gone = np.zeros(max(max(rows), max(self._codes_of_row, default=0)) + 1, np.bool_)
        gone[list(rows)] = True
        for code in np.unique(np.concatenate(held)).tolist():
            known = self._postings[code]
            kept = ~gone[known.rows]
            if kept.any():
                self._postings[code] = TermRows(known.rows[kept], known.frequencies[kept])
            else:
                self._forget(code)

    def match(
        self, terms: Collection[str], visible: NDArray[np.bool_] | None, lengths: _Floats, corpus: Corpus
    ) -> TermMatches:
        """BM25 of the `visible` rows (bool, by row; None: of all) for these terms, each counted once; 0 for all others.

        Frequencies are those of the visible rows: scores tell nothing of the others.
        """
        held = [self._of(term) for term in dict.fromkeys(terms)]
        if visible is not None:
            held = [_seen_of(term_rows, visible) for term_rows in held]
        return bm25(held, lengths, corpus)

    def _of(self, term: str) -> TermRows:
        code = self._codes.get(term)
        return _NO_ROWS if code is None else self._postings[code]

    def _code(self, term: str) -> int:
        code = self._codes.get(term)
        if code is None:
            if self._free_codes:
                code = self._free_codes.pop()
                self._terms[code] = term
            else:
                code = len(self._terms)
                self._terms.append(term)
                self._postings.append(_NO_ROWS)
            self._codes[term] = code
        return code

    def _forget(self, code: int) -> None:
        del self._codes[self._terms[code]]
        self._terms[code], self._postings[code] = "", _NO_ROWS
        self._free_codes.append(code)
