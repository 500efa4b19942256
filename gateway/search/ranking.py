"""The order of tools for a query: meaning and words fused, clauses heard, servers given a vote.

Fused rank of a tool = z(cosine) + w * z(BM25), each z over the tools that the caller may see, so that the order and the
scores tell nothing of the others. `w` grows with how much of the query the words of the best tool cover: a query whose
every word stands in one tool is meant literally, a story is not. Each step is measured in `bench/retrieval.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEXICAL_WEIGHT_LOW, LEXICAL_WEIGHT_HIGH = 0.15, 0.5
COVERAGE_LOW, COVERAGE_HIGH = 0.2, 0.8
CLAUSE_WEIGHT = 0.25
VOTE_WEIGHT, VOTERS = 0.15, 3
SHORTLIST = 256
"""So many of the best tools take part in the vote of their servers."""

# A tool without a vector is expected to mean as much as its words say, at half their weight.
_EXPECTED_BY_WORDS = 0.5
# So many tools count as much as what the space is known for; below that, a mean of a few tools says little.
_PRIOR_TOOLS = 8
# BM25 over a few hundred real tools has about this deviation, whatever the query.
_LEXICAL_DEVIATION = 1.0
_SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True, slots=True)
class CosineBaseline:
    """What cosines of everyday requests are like in this space, over the tenant's tools: mean and deviation."""

    mean: float = 0.05
    deviation: float = 0.1


ASSUMED_BASELINE = CosineBaseline()
"""While everyday requests are not embedded yet."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and deviation of so many values."""

    count: int
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Floats) -> Moments:
        """Those of an array, float32 (n,) with n > 0."""
        mean = float(values.mean())
        # The mean of squares, without the array of differences that `std` makes: most of what a small catalogue costs.
        return cls(len(values), mean, math.sqrt(max(float(np.dot(values, values)) / len(values) - mean**2, 0.0)))


@dataclass(frozen=True, slots=True)
class Population:
    """What was measured over all `tools` that a caller may see, for each query, where only the best are in `Signals`.

    `cosines` are over those that have a vector, `lexical` over all.
    """

    tools: int
    cosines: tuple[Moments, ...]
    lexical: tuple[Moments, ...]


@dataclass(frozen=True, slots=True)
class Signals:
    """What an index measured of the tools that a caller may see, for a query and for each of its clauses.

    `tool_ids` int64 (n,); `servers` int64 (n,), ids; `cosines` float32 (m, n), NaN where a tool has no vector, None
    where there is no query vector at all; `lexical` float32 (m, n), BM25; `max_lexical` float64 (m,), the BM25 of a
    tool that had every word of the query. Row 0 is the whole query, the others are its clauses.

    Where they are not all tools, `population` says what was measured over all of them, and every tool that could be on
    the shortlist is here. `notice` says what was not as usual, empty where all was.
    """

    tool_ids: NDArray[np.int64]
    servers: NDArray[np.int64]
    cosines: Floats | None
    lexical: Floats
    max_lexical: NDArray[np.float64]
    population: Population | None = None
    notice: str = ""

    @property
    def tools(self) -> int:
        """How many the caller may see."""
        return len(self.tool_ids) if self.population is None else self.population.tools

    def with_unmeasured(self, servers: Mapping[int, int]) -> Signals:
        """With those of these tools, given with their servers, that are not here: nothing speaks for them."""
        added = [tool_id for tool_id in servers if not (self.tool_ids == tool_id).any()]
        if not added:
            return self
        shape = (len(self.lexical), len(added))
        return replace(
            self,
            tool_ids=np.concatenate([self.tool_ids, np.array(added, np.int64)]),
            servers=np.concatenate([self.servers, np.array([servers[tool_id] for tool_id in added], np.int64)]),
            cosines=None if self.cosines is None else np.hstack([self.cosines, np.full(shape, np.nan, np.float32)]),
            lexical=np.hstack([self.lexical, np.zeros(shape, np.float32)]),
        )


@dataclass(frozen=True, slots=True)
class Ranking:
    """`fused` float32 (n,), the rank value of each tool; `order`, positions of the shortlist among them, best first."""

    fused: Floats
    order: NDArray[np.intp]


def rank(signals: Signals, baseline: CosineBaseline) -> Ranking:
    """The order of the tools of `signals`; equal ones by their ids."""
    tools = len(signals.tool_ids)
    if not tools:
        return Ranking(np.empty(0, np.float32), np.empty(0, np.intp))
    fused = fuse(signals, baseline)
    size = min(SHORTLIST, tools)
    shortlist = np.argpartition(fused, tools - size)[tools - size :] if size < tools else np.arange(tools)
    fused[shortlist] += _votes(fused[shortlist], signals.servers[shortlist])
    order = shortlist[np.lexsort((signals.tool_ids[shortlist], -fused[shortlist]))]
    return Ranking(fused, order)


def fuse(signals: Signals, baseline: CosineBaseline) -> Floats:
    """The rank value of each tool before its server has a vote, float32 (n,); it grows with each of its measures."""
    fused = _fused(signals, 0, baseline)
    clauses = len(signals.lexical) - 1
    if clauses > 1:
        best = _fused(signals, 1, baseline)
        for clause in range(2, clauses + 1):
            np.maximum(best, _fused(signals, clause, baseline), out=best)
        fused += np.float32(CLAUSE_WEIGHT) * best
    return fused


def coverage(signals: Signals, row: int = 0) -> float:
    """How much of the query the words of the tool that matches them best cover, 0…1."""
    maximum = float(signals.max_lexical[row])
    return float(signals.lexical[row].max()) / maximum if maximum > 0 else 0.0


def _fused(signals: Signals, row: int, baseline: CosineBaseline) -> Floats:
    of_all = signals.population
    lexical = signals.lexical[row]
    words = _standardised(
        lexical, Moments.of(lexical) if of_all is None else of_all.lexical[row], 0.0, _LEXICAL_DEVIATION
    )
    if signals.cosines is None:
        return words
    share = min(max((coverage(signals, row) - COVERAGE_LOW) / (COVERAGE_HIGH - COVERAGE_LOW), 0.0), 1.0)
    weight = LEXICAL_WEIGHT_LOW + share * (LEXICAL_WEIGHT_HIGH - LEXICAL_WEIGHT_LOW)
    cosines = signals.cosines[row]
    missing = np.isnan(cosines)
    known = cosines[~missing] if missing.any() else cosines
    if of_all is not None:
        moments = of_all.cosines[row]
    else:
        moments = Moments.of(known) if len(known) else Moments(0, baseline.mean, baseline.deviation)
    meaning = _standardised(known, moments, baseline.mean, baseline.deviation)
    if len(known) < len(cosines):
        meaning_of_all = np.empty_like(cosines)
        meaning_of_all[~missing] = meaning
        meaning_of_all[missing] = _EXPECTED_BY_WORDS * words[missing]
        meaning = meaning_of_all
    fused: Floats = meaning + np.float32(weight) * words
    return fused


def _standardised(values: Floats, moments: Moments, mean: float, deviation: float) -> Floats:
    """z of `values`, drawn to the given mean and deviation where they are few; `moments` are those of all of them."""
    count = moments.count
    total = count + _PRIOR_TOOLS
    centre = (count * moments.mean + _PRIOR_TOOLS * mean) / total
    variance = count * (moments.deviation**2 + (moments.mean - centre) ** 2) + _PRIOR_TOOLS * (
        deviation**2 + (mean - centre) ** 2
    )
    standardised: Floats = (values - np.float32(centre)) / np.float32(
        max(math.sqrt(variance / total), _SMALLEST_DEVIATION)
    )
    return standardised


def _votes(fused: Floats, servers: NDArray[np.int64]) -> Floats:
    """What each tool of the shortlist gains by its server: the mean of the three best, over the last of the list."""
    order = np.argsort(-fused)
    best, of_server, floor = fused[order].tolist(), servers[order].tolist(), float(fused[order[-1]])
    sums: dict[int, float] = {}
    voters: dict[int, int] = {}
    for value, server in zip(best, of_server, strict=True):
        count = voters.get(server, 0)
        if count < VOTERS:
            voters[server] = count + 1
            sums[server] = sums.get(server, 0.0) + value - floor
    if len(voters) == 1:
        return np.zeros_like(fused)
    means = {server: VOTE_WEIGHT * sums[server] / count for server, count in voters.items()}
    return np.array([means[server] for server in servers.tolist()], np.float32)
