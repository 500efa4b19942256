"""The index in PostgreSQL: for tenants that do not fit into memory, or where it is set.

The database measures every tool that the caller may see, and the same code as for the index in memory ranks what it
measured: both give the same answers. Of more than `exact_tools` tools only the thousand nearest to the query, by the
space's HNSW index, and the thousand best by words are measured. How rare a word is and how long a tool is on average
are still counted over all of them; what is standardised over tools is standardised over those.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.access.tool_names import tools_by_name
from gateway.database.connection import DatabaseConnection
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.cosine_baseline import CosineBaselines, sample_step
from gateway.search.index.postings import Corpus, TermRows, bm25
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import (
    CountedTerms,
    ParsedQuery,
    Vocabulary,
    query_terms,
    spelling_candidates,
    unknown_words,
)
from gateway.search.ranking import ASSUMED_BASELINE, CosineBaseline, Floats, Moments, Population, Signals
from gateway.search.visible_tools import VisibilityCache

_CANDIDATES = 1_000
# Enough to know how cosines lie to a fiftieth of their deviation.
_SAMPLE = 2_000
# A space of which nothing is asked, where the statement wants a number.
_NO_SPACE = 0

_Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _WordMatches:
    """The tools that hold any term of the queries: `ids` int64 (n,), ascending; `scores` float32 (m, n), BM25 for each
    query; `max_lexical` float64 (m,)."""

    ids: _Ids
    scores: Floats
    max_lexical: NDArray[np.float64]

    def of(self, ids: _Ids) -> Floats:
        """The scores of these tools, float32 (m, k), 0 for those that hold no term."""
        if not len(self.ids):
            return np.zeros((len(self.scores), len(ids)), np.float32)
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        scores: Floats = np.where(self.ids[places] == ids, self.scores[:, places], np.float32(0))
        return scores

    def moments(self, tools: int) -> tuple[Moments, ...]:
        """Of the scores for each query over so many tools, of which those that are not here hold no term."""
        means = self.scores.sum(axis=1, dtype=np.float64) / tools
        squares = np.square(self.scores, dtype=np.float64).sum(axis=1) / tools
        deviations = np.sqrt(np.maximum(squares - np.square(means), 0.0))
        return tuple(Moments(tools, *each) for each in zip(means.tolist(), deviations.tolist(), strict=True))

    def best(self) -> set[int]:
        """The tools that are among the best thousand for any of the queries."""
        best: set[int] = set()
        for scores in self.scores:
            best.update(self.ids[np.lexsort((self.ids, -scores))[:_CANDIDATES]].tolist())
        return best


class PgvectorIndex:
    """Answers from the database: exact up to `exact_tools` tools, and as slow as the tools are many."""

    def __init__(
        self,
        database: Database,
        baselines: CosineBaselines,
        visibility: VisibilityCache,
        notices: Notices,
        exact_tools: int,
    ) -> None:
        self._database = database
        self._visibility = visibility
        self._exact_tools = exact_tools
        self._baselines = baselines
        self._vectors: NotifiedCache[int, int] = NotifiedCache(notices, 1_000)

    @property
    def size_bytes(self) -> int:
        """See `ToolIndex`."""
        return 0

    @property
    def tools(self) -> int:
        """See `ToolIndex`."""
        return 0

    @property
    def age_seconds(self) -> float:
        """See `ToolIndex`."""
        return 0.0

    def pinned(self, tenant_id: int) -> AbstractContextManager[None]:
        """See `ToolIndex`: it holds nothing."""
        return nullcontext()

    async def revision(self, scope: SearchScope, space: StoredSpace) -> Hashable | None:
        """See `ToolIndex`: it is not known, for it is read anew with each search."""
        return None

    async def vocabulary(
        self, scope: SearchScope, space: StoredSpace | None, texts: Sequence[str], most_corrected: int
    ) -> Vocabulary:
        """See `ToolIndex`."""
        narrowed = await self._narrowed(scope)
        asked = {term for text in texts for term in query_terms(text)}
        async with self._database.snapshot() as snapshot:
            counts = await _count_terms(snapshot, narrowed, asked)
            known = CountedTerms(counts)
            unknown = unknown_words(texts, known, most_corrected)
            guesses = {guess for word in unknown for guess in spelling_candidates(word)}
            return CountedTerms({**await _count_terms(snapshot, narrowed, guesses), **counts}) if guesses else known

    async def baseline(self, tenant_id: int, space: StoredSpace | None) -> CosineBaseline:
        """See `ToolIndex`; until everyday requests are embedded, what is assumed."""
        if space is None:
            return ASSUMED_BASELINE
        space_id = space.id

        async def count() -> int:
            async with self._database.snapshot() as snapshot:
                counted: int = await snapshot.fetchval("count_ranking_vectors", tenant_id, space=space_id)
            return counted

        vectors = await self._vectors.get(tenant_id, space_id, count)

        async def sample() -> Floats:
            async with self._database.snapshot() as snapshot:
                rows = await snapshot.fetch("sampled_ranking_vectors", tenant_id, sample_step(vectors), space=space_id)
            read = [row["ranking_embedding"].to_numpy().astype(np.float32) for row in rows]
            return np.stack(read) if read else np.empty((0, space.space.dimensions), np.float32)

        return await self._baselines.baseline(tenant_id, space, vectors, sample)

    async def signals(self, scope: SearchScope, space: StoredSpace | None, queries: Sequence[ParsedQuery]) -> Signals:
        """See `ToolIndex`."""
        narrowed = await self._narrowed(scope)
        space_id = space.id if space is not None else _NO_SPACE
        vectors = [query.vector for query in queries if query.vector is not None]
        if space is None or len(vectors) < len(queries):
            space_id, vectors = _NO_SPACE, [np.zeros(1, np.float32)]
        async with self._database.snapshot() as snapshot:
            counted = await snapshot.fetchrow("scope_corpus", *narrowed)
            assert counted is not None
            corpus = Corpus(counted["tools"], counted["mean_length"])
            words = await _match_words(snapshot, narrowed, queries, corpus)
            chosen, sample = None, None
            if corpus.tools > self._exact_tools:
                chosen = words.best() | await _nearest(snapshot, narrowed, space_id, vectors)
                sample = await self._sampled(snapshot, scope, narrowed, corpus.tools)
            asked = None if chosen is None or sample is None else sorted(chosen | sample)
            measured = [
                await snapshot.fetchrow(
                    "scope_cosines", *narrowed, vector, asked, space=space_id, dimensions=len(vector)
                )
                for vector in vectors
            ]
        rows = [row for row in measured if row is not None]
        ids, servers = np.array(rows[0]["ids"], np.int64), np.array(rows[0]["servers"], np.int64)
        cosines: Floats | None = np.array([row["cosines"] for row in rows], np.float32)
        if cosines is None or np.isnan(cosines).all():
            cosines = None
        signals = Signals(ids, servers, cosines, words.of(ids), words.max_lexical)
        if chosen is None or sample is None:
            return signals
        of_sample = np.isin(ids, np.fromiter(sample, np.int64, len(sample)))
        of_all = () if cosines is None else tuple(_moments(row[of_sample]) for row in cosines)
        population = Population(corpus.tools, of_all, words.moments(corpus.tools))
        return _among(replace(signals, population=population), chosen)

    async def _sampled(
        self, snapshot: DatabaseConnection, scope: SearchScope, narrowed: tuple[Any, ...], tools: int
    ) -> set[int]:
        """Some of so many tools in scope, spread over all."""
        visible = await self._visibility.visible_tools(scope.tenant_id, scope.role_ids)
        positions = np.flatnonzero(visible.mask)[:: max(1, tools // _SAMPLE)]
        return {row["id"] for row in await snapshot.fetch("sampled_in_scope", *narrowed, positions.tolist())}

    async def named(self, scope: SearchScope, space: StoredSpace | None, name: str) -> list[int]:
        """See `ToolIndex`."""
        named = [tool.id for tool in await tools_by_name(self._database, scope.tenant_id, name)]
        if not named:
            return []
        rows = await self._database.fetch("tools_in_scope", *await self._narrowed(scope), named)
        in_scope = {row["id"] for row in rows}
        return [tool_id for tool_id in named if tool_id in in_scope]

    async def cards(
        self, scope: SearchScope, space: StoredSpace | None, tool_ids: Collection[int]
    ) -> Mapping[int, ToolCard]:
        """See `ToolIndex`."""
        if not tool_ids:
            return {}
        rows = await self._database.fetch("result_tools", scope.tenant_id, list(scope.role_ids), list(tool_ids))
        # What was found by a document that is behind may have another category by now.
        return {
            row["id"]: ToolCard.of(row, row["server_name"])
            for row in rows
            if scope.category in (None, row["category"]) and scope.server_id in (None, row["server_id"])
        }

    @property
    def tenants_in_database(self) -> Collection[int]:
        """See `ToolIndex`: none is meant to be in memory."""
        return ()

    async def prepare(self, space: StoredSpace) -> None:
        """See `ToolIndex`; what PostgreSQL searches a space with, it has since there is the space."""

    async def aclose(self) -> None:
        """End what is under way."""
        await self._baselines.aclose()

    async def _narrowed(self, scope: SearchScope) -> tuple[Any, ...]:
        """What `in_scope` is asked with."""
        visible = await self._visibility.visible_tools(scope.tenant_id, scope.role_ids)
        return scope.tenant_id, visible.bitmap, scope.category, scope.server_id


async def _count_terms(
    snapshot: DatabaseConnection, narrowed: tuple[Any, ...], terms: Collection[str]
) -> dict[str, int]:
    rows = await snapshot.fetch("scope_frequencies", *narrowed, sorted(terms)) if terms else []
    return {row["lexeme"]: row["found_in"] for row in rows}


async def _match_words(
    snapshot: DatabaseConnection, narrowed: tuple[Any, ...], queries: Sequence[ParsedQuery], corpus: Corpus
) -> _WordMatches:
    terms = sorted({term for query in queries for term in query.terms})
    rows = await snapshot.fetch("scope_postings", *narrowed, terms) if terms else []
    holders = {row["lexeme"]: np.array(row["tool_ids"], np.int64) for row in rows}
    ids = np.array(sorted(set().union(*(row["tool_ids"] for row in rows))), np.int64)
    lengths = np.zeros(len(ids), np.float32)
    postings = {}
    for row in rows:
        places = np.searchsorted(ids, holders[row["lexeme"]]).astype(np.int32)
        lengths[places] = row["lengths"]
        postings[row["lexeme"]] = TermRows(places, np.array(row["counts"], np.float32))
    nowhere = TermRows(np.empty(0, np.int32), np.empty(0, np.float32))
    matches = [
        bm25([postings.get(term, nowhere) for term in dict.fromkeys(query.terms)], lengths, corpus) for query in queries
    ]
    return _WordMatches(
        ids, np.stack([match.scores for match in matches]), np.array([match.maximum for match in matches])
    )


def _moments(cosines: Floats) -> Moments:
    known = cosines[~np.isnan(cosines)]
    return Moments.of(known) if len(known) else Moments(0, 0.0, 0.0)


def _among(signals: Signals, chosen: Collection[int]) -> Signals:
    """What is measured of these tools alone."""
    kept = np.isin(signals.tool_ids, np.fromiter(chosen, np.int64, len(chosen)))
    return replace(
        signals,
        tool_ids=signals.tool_ids[kept],
        servers=signals.servers[kept],
        cosines=None if signals.cosines is None else signals.cosines[:, kept],
        lexical=signals.lexical[:, kept],
    )


async def _nearest(
    snapshot: DatabaseConnection, narrowed: tuple[Any, ...], space_id: int, vectors: Sequence[Floats]
) -> set[int]:
    """The tools in scope that are nearest to any of the vectors; none without a space."""
    if space_id == _NO_SPACE:
        return set()
    await snapshot.execute("widen_index_scan")
    nearest: set[int] = set()
    for vector in vectors:
        for name in ("nearest_in_scope", "nearest_learnt_in_scope"):
            rows = await snapshot.fetch(name, *narrowed, vector, _CANDIDATES, space=space_id, dimensions=len(vector))
            nearest.update(row["tool_id"] for row in rows)
    return nearest
