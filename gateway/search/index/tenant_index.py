"""One tenant's catalogue in one embedding space, in memory: everything that a search asks for, without a statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.search.cosine_baseline import SAMPLE, sample_step
from gateway.search.index.postings import Corpus, Postings
from gateway.search.query.parsed_query import ParsedQuery, Vocabulary
from gateway.search.ranking import Signals

_BY_ROW = ("_with_vector", "_corrections", "_ids", "_positions", "_servers", "_categories", "_lengths", "_live")
_GROWTH = 1.5
_MIN_ROWS = 64
# Where fewer of the rows have a tool, it is worth building the index anew.
_SPARSE_BELOW = 0.25
# Where a caller sees less than this share, gathering the rows first is faster than multiplying all of them.
_GATHER_BELOW = 0.25
# So many rows are still in the processor's cache when the next vector comes to them.
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class IndexedTool:
    """A tool as the index takes it in.

    `position` is its place in the tenant's bitmaps. `vector` float32 (d,), its ranking vector, None
    while it has none; `correction` is taken from every cosine with it. `terms` counts its terms, `length` is their sum.
    `size_bytes` is what `card` takes.
    """

    tool_id: int
    position: int
    server_id: int
    category: str
    exposed_name: str
    name: str
    terms: Mapping[str, int]
    length: int
    vector: NDArray[np.float32] | None
    size_bytes: int
    correction: float = 0.0


@dataclass(frozen=True, slots=True)
class _Scope:
    """The rows that a search is about: those of the tools at the `visible` positions, narrowed to what is given.

    `seen` bool, by row; `rows` their numbers, ascending, with `tool_ids` and `servers` int64 (n,) of each. `is_all`:
    they are those of all tools; `is_dense`: and no row between them is without one.
    """

    visible: NDArray[np.bool_]
    category: str | None
    server_id: int | None
    seen: NDArray[np.bool_]
    rows: NDArray[np.intp]
    tool_ids: NDArray[np.int64]
    servers: NDArray[np.int64]
    corpus: Corpus
    is_all: bool
    is_dense: bool

    def is_of(self, visible: NDArray[np.bool_], category: str | None, server_id: int | None) -> bool:
        """Whether it is that of a search that is asked so."""
        return (
            (self.category, self.server_id) == (category, server_id)
            and len(self.visible) == len(visible)
            and bool((self.visible == visible).all())
        )


class TenantIndex:
    """A row for each tool. Rows are used again when tools go; positions are not, and only bitmaps are read by them.

    Not to be changed while a search reads it: both run on the event loop, neither awaits.
    """

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        # Many tenants have no tools: they take no rows.
        self._matrix = np.zeros((0, dimensions), np.float32)
        self._with_vector = np.zeros(0, np.bool_)
        self._corrections = np.zeros(0, np.float32)
        self._ids = np.zeros(0, np.int64)
        self._positions = np.zeros(0, np.int64)
        self._servers = np.zeros(0, np.int64)
        self._lengths = np.zeros(0, np.float32)
        self._live = np.zeros(0, np.bool_)
        self._categories = np.zeros(0, np.int16)
        self._category_codes: dict[str, int] = {}
        self._rows: dict[int, int] = {}
        self._used_rows = 0
        self._free_rows: list[int] = []
        self._names: dict[str, set[int]] = {}
        self._names_of: dict[int, tuple[str, str]] = {}
        self._card_bytes_of: dict[int, int] = {}
        self._card_bytes = 0
        self._postings = Postings()
        self._vectors = 0
        # Of the last search, which most of the next ones have, too.
        self._scope: _Scope | None = None

    @property
    def size_bytes(self) -> int:
        """What the index holds in memory, roughly."""
        arrays = (self._matrix, *(getattr(self, name) for name in _BY_ROW))
        arrays_bytes: int = sum(array.nbytes for array in arrays)
        return arrays_bytes + self._postings.size_bytes + self._card_bytes

    @property
    def dimensions(self) -> int:
        """Of its vectors; 0 where it has none and ranks by words."""
        return self._dimensions

    @property
    def tools(self) -> int:
        """How many tools it holds."""
        return len(self._rows)

    @property
    def is_sparse(self) -> bool:
        """Whether it holds so few tools, for those that it once held, that one built anew takes far less."""
        return len(self._live) > _MIN_ROWS and len(self._rows) < _SPARSE_BELOW * len(self._live)

    @property
    def vectors(self) -> int:
        """How many of its tools have a vector."""
        return self._vectors

    @property
    def tool_ids(self) -> Collection[int]:
        """Of all tools that it holds."""
        return self._rows.keys()

    def upsert(self, tools: Collection[IndexedTool]) -> None:
        """Take in tools that are new or have changed."""
        self.remove([tool.tool_id for tool in tools])
        self._scope = None
        rows = self._take_rows(len(tools))
        for row, tool in zip(rows, tools, strict=True):
            self._rows[tool.tool_id] = row
            self._ids[row] = tool.tool_id
            self._positions[row] = tool.position
            self._servers[row] = tool.server_id
            # A tool without a word is there all the same.
            self._lengths[row] = max(tool.length, 1)
            self._live[row] = True
            self._categories[row] = self._category_codes.setdefault(tool.category, len(self._category_codes))
            self._names_of[row] = (tool.exposed_name, tool.name)
            for name in self._names_of[row]:
                self._names.setdefault(name, set()).add(row)
            self._card_bytes_of[row] = tool.size_bytes
            self._card_bytes += tool.size_bytes
            self._with_vector[row] = tool.vector is not None
            self._corrections[row] = tool.correction
            if tool.vector is not None:
                self._matrix[row] = tool.vector
                self._vectors += 1
        self._postings.upsert({row: tool.terms for row, tool in zip(rows, tools, strict=True)})

    def remove(self, tool_ids: Iterable[int]) -> None:
        """Forget these tools; nothing happens to those that are not known."""
        self._scope = None
        rows = [row for tool_id in tool_ids if (row := self._rows.pop(tool_id, None)) is not None]
        self._vectors -= int(self._with_vector[rows].sum())
        self._live[rows] = self._with_vector[rows] = False
        self._lengths[rows] = 0
        self._matrix[rows] = 0
        self._postings.remove(rows)
        self._free_rows.extend(rows)
        for row in rows:
            self._card_bytes -= self._card_bytes_of.pop(row)
            # A tool whose exposed name is its own has one.
            for name in set(self._names_of.pop(row)):
                others = self._names[name]
                others.discard(row)
                if not others:
                    del self._names[name]

    def position(self, tool_id: int) -> int:
        """The place of a tool in the tenant's bitmaps. Raises KeyError where it is not known."""
        return int(self._positions[self._rows[tool_id]])

    def named(self, name: str) -> list[int]:
        """The ids of tools whose exposed or own name is exactly `name`."""
        return [int(self._ids[row]) for row in sorted(self._names.get(name, ()), key=self._positions.__getitem__)]

    def sample(self, most: int = SAMPLE) -> NDArray[np.float32]:
        """Ranking vectors of at most so many tools, float32 (n, d), spread over the catalogue."""
        rows = np.flatnonzero(self._with_vector)
        rows = rows[np.argsort(self._positions[rows])]
        return self._matrix[rows[:: sample_step(len(rows), most)]]

    def known(self, terms: Set[str]) -> Set[str]:
        """Those of `terms` that a tool holds."""
        return self._postings.known(terms)

    def found_in(self, term: str) -> int:
        """How many tools hold `term`."""
        return self._postings.found_in(term)

    def vocabulary(
        self, visible: NDArray[np.bool_], category: str | None = None, server_id: int | None = None
    ) -> Vocabulary:
        """The terms of the tools at the `visible` positions, narrowed as in `signals`: it tells nothing of others."""
        scope = self._scope_of(visible, category, server_id)
        return _VisibleTerms(self._postings, None if scope.is_all else scope.seen)

    def signals(
        self,
        visible: NDArray[np.bool_],
        queries: Sequence[ParsedQuery],
        category: str | None = None,
        server_id: int | None = None,
    ) -> Signals:
        """What is measured of the tools at the `visible` positions (bool, by position), narrowed to what is given."""
        scope = self._scope_of(visible, category, server_id)
        rows = slice(len(scope.rows)) if scope.is_dense else scope.rows
        lexical = np.empty((len(queries), len(scope.rows)), np.float32)
        max_lexical = np.empty(len(queries))
        for number, query in enumerate(queries):
            seen = None if scope.is_all else scope.seen
            matches = self._postings.match(query.terms, seen, self._lengths, scope.corpus)
            lexical[number], max_lexical[number] = matches.scores[rows], matches.maximum
        return Signals(scope.tool_ids, scope.servers, self._cosines(scope, queries), lexical, max_lexical)

    def _scope_of(self, visible: NDArray[np.bool_], category: str | None, server_id: int | None) -> _Scope:
        known = self._scope
        if known is not None and known.is_of(visible, category, server_id):
            return known
        seen = self._seen(visible, category, server_id)
        rows = np.flatnonzero(seen)
        corpus = Corpus(len(rows), float(self._lengths[rows].mean()) if len(rows) else 0.0)
        is_all = len(rows) == len(self._rows)
        self._scope = scope = _Scope(
            visible.copy(),
            category,
            server_id,
            seen,
            rows,
            self._ids[rows],
            self._servers[rows],
            corpus,
            is_all,
            is_all and len(rows) == self._used_rows,
        )
        return scope

    def _seen(self, visible: NDArray[np.bool_], category: str | None, server_id: int | None) -> NDArray[np.bool_]:
        if not len(visible):
            return np.zeros(len(self._live), np.bool_)
        seen = visible.take(self._positions, mode="clip")
        seen &= self._live
        # A tool beyond the end of the bitmap came after it.
        seen &= self._positions < len(visible)
        if server_id is not None:
            seen &= self._servers == server_id
        if category is not None:
            seen &= self._categories == self._category_codes.get(category, -1)
        return seen

    def _cosines(self, scope: _Scope, queries: Sequence[ParsedQuery]) -> NDArray[np.float32] | None:
        vectors = [query.vector for query in queries if query.vector is not None]
        with_vector = self._with_vector[scope.rows]
        if len(vectors) < len(queries) or not with_vector.any():
            return None
        is_gathered = len(scope.rows) < _GATHER_BELOW * self._used_rows
        matrix = self._matrix[scope.rows] if is_gathered else self._matrix[: self._used_rows]
        cosines = np.empty((len(vectors), len(matrix)), np.float32)
        rows_at_once = len(matrix) if len(vectors) == 1 else _ROWS_AT_ONCE
        for start in range(0, len(matrix), rows_at_once):
            part = slice(start, start + rows_at_once)
            # One vector after the other: the product with several at once copies all rows first.
            for number, vector in enumerate(vectors):
                np.matmul(matrix[part], vector, out=cosines[number, part])
        if not (is_gathered or scope.is_dense):
            cosines = cosines[:, scope.rows]
        cosines -= self._corrections[scope.rows]
        if not with_vector.all():
            cosines[:, ~with_vector] = np.nan
        return cosines

    def _take_rows(self, count: int) -> list[int]:
        """So many rows without a tool."""
        reused = min(count, len(self._free_rows))
        rows = [self._free_rows.pop() for _ in range(reused)]
        rows.extend(range(self._used_rows, self._used_rows + count - reused))
        self._used_rows += count - reused
        self._grow(self._used_rows)
        return rows

    def _grow(self, rows: int) -> None:
        if rows <= len(self._live):
            return
        capacity = max(rows, _MIN_ROWS, int(len(self._live) * _GROWTH))
        matrix = np.zeros((capacity, self._dimensions), np.float32)
        matrix[: len(self._matrix)] = self._matrix
        self._matrix = matrix
        for name in _BY_ROW:
            old = getattr(self, name)
            grown = np.zeros(capacity, old.dtype)
            grown[: len(old)] = old
            setattr(self, name, grown)


@dataclass(frozen=True, slots=True)
class _VisibleTerms:
    postings: Postings
    visible: NDArray[np.bool_] | None

    def known(self, terms: Set[str]) -> Set[str]:
        return self.postings.known(terms)

    def found_in(self, term: str) -> int:
        return self.postings.found_in(term, self.visible)
