"""Measures the tools in scope in the cluster: the best by meaning and by words, and over all of them how both lie.

Only so many hits are asked for as the ranking needs. A tool that was not among them lies below the last hit of either
kind, so that it cannot rank higher than a tool with both of these measures would; where that one is still above the
last of the shortlist, more hits are asked for. What is ranked then is what would be if all had been measured here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gateway.search.index.opensearch.client import OpenSearchClient
from gateway.search.index.opensearch.search_bodies import (
    NO_CHECKSUM,
    Answer,
    Body,
    Clauses,
    Hits,
    among,
    cosine_body,
    inner_products,
    lexical_body,
    listing_body,
    nearest_body,
    read_hits,
    read_lexical_moments,
    read_moments,
    sample_body,
    without_moments,
)
from gateway.search.index.postings import K1, inverse_document_frequency
from gateway.search.query.parsed_query import ParsedQuery
from gateway.search.ranking import SHORTLIST, CosineBaseline, Floats, Moments, Population, Signals, fuse

FIRST_DEPTH = 512
"""So many hits of each kind are asked for first; a scope of no more tools is measured as a whole."""

MAX_DEPTH = 8_192
"""And so many at last; OpenSearch gives 10,000 at most."""

_GROWTH = 2
_NEAREST = 1_000
_SAMPLE = 5_000
# A correction may take as much again from the cosine of what is opposite.
_LOWEST_COSINE = -2.0


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched: an index, the shard by its routing, the filter, how many tools there are and how long they are
    on average, and in how many of them each term stands that is asked for."""

    index: str
    routing: str
    clauses: Clauses
    tools: int
    mean_length: float
    frequencies: Mapping[str, int]


@dataclass(slots=True)
class _Leg:
    """What is known of one measure for one query. `values`, float64 (n,), of the `tools`, int64 (n,), that were found;
    all others are at or below `last`: 0 or no cosine where the search was not cut."""

    tools: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    last: float = -math.inf
    is_cut: bool = False
    otherwise: float | None = None

    def of(self, ids: NDArray[np.int64], otherwise: float) -> Floats:
        """The values of these tools, which are in order, and `otherwise` of those that it did not find, unless it says
        what."""
        row = np.full(len(ids), otherwise if self.otherwise is None else self.otherwise, np.float32)
        places = np.minimum(np.searchsorted(ids, self.tools), len(ids) - 1)
        is_asked = ids[places] == self.tools
        row[places[is_asked]] = self.values[is_asked]
        return row


class ScopeMeasurement:
    """One search."""

    def __init__(
        self,
        client: OpenSearchClient,
        scope: Scope,
        queries: Sequence[ParsedQuery],
        baseline: CosineBaseline,
        exact_tools: int,
        depth: int = FIRST_DEPTH,
    ) -> None:
        """Of more than `exact_tools` tools the nearest are found by the graph, and a sample stands for all cosines."""
        self._client = client
        self._scope = scope
        self._baseline = baseline
        self._is_exact = scope.tools <= exact_tools
        self._depth = depth
        self._weights = [_weights(query, scope) for query in queries]
        vectors = [query.vector for query in queries if query.vector is not None]
        self._vectors = vectors if len(vectors) == len(queries) else []
        self._found: list[Hits] = []
        self.rounds = 0
        self.is_decided = True
        """False where so many tools lie so close together that `MAX_DEPTH` of each kind leave open which are best."""

    @property
    def checksums(self) -> dict[int, int]:
        """Of the documents that were measured, by tool: `NO_CHECKSUM` where it was written anew in the meantime."""
        hits = Hits.joined(self._found)
        ids, first, of_hit = np.unique(hits.tools, return_index=True, return_inverse=True)
        checksums = hits.checksums[first]
        checksums[of_hit[hits.checksums != checksums[of_hit]]] = NO_CHECKSUM
        return dict(zip(ids.tolist(), checksums.tolist(), strict=True))

    async def signals(self) -> Signals:
        """What was measured. Raises OpenSearchError."""
        depth = self._depth if self._is_exact else max(self._depth, _NEAREST)
        while True:
            signals, is_enough = await self._measure(depth)
            if is_enough or not self._is_exact:
                return signals
            if depth >= MAX_DEPTH:
                self.is_decided = False
                return signals
            depth = min(depth * _GROWTH, MAX_DEPTH)

    async def _measure(self, depth: int) -> tuple[Signals, bool]:
        """The signals with so many hits of each kind, and whether all that may be on the shortlist is among them."""
        scope = self._scope
        is_whole = scope.tools <= depth
        size = min(depth, scope.tools)
        cosine_bodies = [
            cosine_body(scope.clauses, vector, size) if self._is_exact else nearest_body(scope.clauses, vector, size)
            for vector in self._vectors
        ]
        samples = [] if self._is_exact else self._samples()
        lexical_bodies = [
            lexical_body(scope.clauses, weights, scope.mean_length, size) if any(weights.values()) else None
            for weights in self._weights
        ]
        asked = [body for body in lexical_bodies if body is not None]
        listing = [listing_body(scope.clauses, size)] if is_whole else []
        answers = iter(await self._ask([*cosine_bodies, *samples, *asked, *listing]))
        cosines = [self._leg(next(answers), size, is_cosine=True) for _ in cosine_bodies]
        cosine_moments = [read_moments(next(answers)) for _ in samples] or [moments for _, moments in cosines]
        lexical = []
        for body in lexical_bodies:
            if body is None:
                lexical.append((_Leg(last=0.0), Moments(scope.tools, 0.0, 0.0)))
            else:
                lexical.append(self._leg(next(answers), size, is_cosine=False))
        self._found += map(read_hits, answers)
        cosine_legs, lexical_legs = [leg for leg, _ in cosines], [leg for leg, _ in lexical]
        population = Population(scope.tools, tuple(cosine_moments), tuple(moments for _, moments in lexical))
        if not any(moments.count for moments in cosine_moments):
            cosine_legs = []
            population = Population(scope.tools, (), population.lexical)
        found = Hits.joined(self._found)
        ids, first = np.unique(found.tools, return_index=True)
        servers = found.servers[first]
        are_contenders = self._contenders(ids, servers, cosine_legs, lexical_legs, population)
        ids, servers = ids[are_contenders], servers[are_contenders]
        await self._fill(ids, cosine_legs, lexical_legs)
        signals = self._signals(ids, servers, cosine_legs, lexical_legs, population)
        return signals, is_whole or self._is_enough(signals, cosine_legs, lexical_legs)

    def _samples(self) -> list[Body]:
        share = _SAMPLE / self._scope.tools
        return [sample_body(self._scope.clauses, vector, share) for vector in self._vectors]

    def _leg(self, answer: Answer, size: int, *, is_cosine: bool) -> tuple[_Leg, Moments]:
        hits = read_hits(answer)
        self._found.append(hits)
        values = inner_products(hits.scores) if is_cosine else hits.scores
        leg = _Leg(hits.tools, values, -math.inf if is_cosine else 0.0)
        # By the graph fewer may come than there are; that no tool has a vector is all that nothing says.
        may_be_fewer = is_cosine and not self._is_exact and len(values) > 0
        if size < self._scope.tools and (len(values) == size or may_be_fewer):
            leg.is_cut, leg.last = True, float(values[-1])
        if is_cosine:
            return leg, read_moments(answer) if "aggregations" in answer else Moments(0, 0.0, 0.0)
        return leg, read_lexical_moments(answer, self._scope.tools)

    async def _fill(self, ids: NDArray[np.int64], cosines: Sequence[_Leg], lexical: Sequence[_Leg]) -> None:
        """Ask for what one kind of search has found and another has not."""
        wanted: list[tuple[_Leg, bool, Body]] = []
        for legs, is_cosine in ((cosines, True), (lexical, False)):
            for place, leg in enumerate(legs):
                missing = np.setdiff1d(ids, leg.tools).tolist() if leg.is_cut else []
                for start in range(0, len(missing), MAX_DEPTH):
                    part = missing[start : start + MAX_DEPTH]
                    narrowed = among(self._scope.clauses, part)
                    body = (
                        cosine_body(narrowed, self._vectors[place], len(part))
                        if is_cosine
                        else lexical_body(narrowed, self._weights[place], self._scope.mean_length, len(part))
                    )
                    wanted.append((leg, is_cosine, without_moments(body)))
        if not wanted:
            return
        for (leg, is_cosine, _), answer in zip(wanted, await self._ask([body for _, _, body in wanted]), strict=True):
            hits = read_hits(answer)
            self._found.append(hits)
            leg.tools = np.append(leg.tools, hits.tools)
            leg.values = np.append(leg.values, inner_products(hits.scores) if is_cosine else hits.scores)

    def _contenders(
        self,
        ids: NDArray[np.int64],
        servers: NDArray[np.int64],
        cosines: Sequence[_Leg],
        lexical: Sequence[_Leg],
        population: Population,
    ) -> NDArray[np.bool_]:
        """Which of them may be on the shortlist, whatever is still to be asked of them and of the others."""
        is_known = not any(leg.is_cut for leg in (*cosines, *lexical))
        if is_known or len(ids) <= SHORTLIST:
            return np.ones(len(ids), np.bool_)

        def fused(cosine: float | None, words: float | None) -> Floats:
            filled = _filled(cosines, cosine), _filled(lexical, words)
            return fuse(self._signals(ids, servers, *filled, population), self._baseline)

        # What was not found has no vector, or one that lies anywhere from opposite to the last one found.
        least, most = [fused(_LOWEST_COSINE, 0.0)], [fused(None, None)]
        if self._some_lack_vectors(population):
            least.append(fused(math.nan, 0.0))
            most.append(fused(math.nan, None))
        lower, upper = np.min(least, axis=0), np.max(most, axis=0)
        are_contenders: NDArray[np.bool_] = upper >= np.sort(lower)[-SHORTLIST]
        return are_contenders

    def _signals(
        self,
        ids: NDArray[np.int64],
        servers: NDArray[np.int64],
        cosines: Sequence[_Leg],
        lexical: Sequence[_Leg],
        population: Population,
    ) -> Signals:
        return Signals(
            ids,
            servers,
            _matrix(ids, cosines, math.nan) if cosines else None,
            _matrix(ids, lexical, 0.0),
            np.array([sum(weights.values()) for weights in self._weights]),
            population,
        )

    def _is_enough(self, signals: Signals, cosines: Sequence[_Leg], lexical: Sequence[_Leg]) -> bool:
        """Whether no tool that was not found could be on the shortlist."""
        assert signals.population is not None
        if len(signals.tool_ids) < SHORTLIST:
            return False
        # Two tools that may be: one with a vector, as near as the last one found, and one without any.
        unseen = [[leg.last for leg in cosines]] if any(leg.is_cut for leg in cosines) or not cosines else []
        unseen += [[math.nan for _ in cosines]] if cosines and self._some_lack_vectors(signals.population) else []
        if not unseen:
            return True
        count, last = len(unseen), np.array([leg.last for leg in lexical], np.float32)
        added: NDArray[np.float32] = np.array(unseen, np.float32).T
        nobody = np.zeros(count, np.int64)
        rated = fuse(
            Signals(
                np.append(signals.tool_ids, nobody),
                np.append(signals.servers, nobody),
                None if signals.cosines is None else np.concatenate([signals.cosines, added], axis=1),
                np.concatenate([signals.lexical, np.tile(last[:, None], count)], axis=1),
                signals.max_lexical,
                signals.population,
            ),
            self._baseline,
        )
        return bool(np.sort(rated[:-count])[-SHORTLIST] >= rated[-count:].max())

    def _some_lack_vectors(self, population: Population) -> bool:
        return any(moments.count < population.tools for moments in population.cosines) or not self._is_exact

    async def _ask(self, bodies: Sequence[Body]) -> Sequence[Answer]:
        self.rounds += 1
        return await self._client.search_each(self._scope.index, bodies, routing=self._scope.routing)


def _filled(legs: Sequence[_Leg], value: float | None = None) -> list[_Leg]:
    """The legs, with this of what they did not find where they were cut; None: what it is at most."""
    return [replace(leg, otherwise=leg.last if value is None else value) if leg.is_cut else leg for leg in legs]


def _matrix(ids: NDArray[np.int64], legs: Sequence[_Leg], otherwise: float) -> Floats:
    """The values of these tools by leg, and `otherwise` of those that it did not find, unless it says what."""
    return np.stack([leg.of(ids, otherwise) for leg in legs])


def _weights(query: ParsedQuery, scope: Scope) -> dict[str, float]:
    """What each term of a query adds to a tool that has nothing else in it."""
    return {
        term: inverse_document_frequency(scope.tools, scope.frequencies.get(term, 0)) * (K1 + 1)
        for term in dict.fromkeys(query.terms)
    }
