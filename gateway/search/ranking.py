"""The order of tools for a query: meaning and words fused, clauses heard, servers given a vote.

Fused rank of a tool = z(cosine) + w * z(BM25), each z over the tools that the caller may see, so that the order and the
scores tell nothing of the others. `w` grows with how much of the query the words of the best tool cover: a query whose
every word stands in one tool is meant literally, a story is not. Each step is measured in `bench/retrieval.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
class Background:
    """What cosines of everyday requests are like in this space, over the tenant's tools: mean and deviation."""

    mean: float = 0.05
    deviation: float = 0.1


ASSUMED_BACKGROUND = Background()
"""While everyday requests are not embedded yet."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What an index measured of the tools that a caller may see, for a query and for each of its clauses.

    `tool_ids` int64 (n,); `servers` int64 (n,), ids; `cosines` float32 (m, n), NaN where a tool has no vector, None
    where there is no query vector at all; `lexical` float32 (m, n), BM25; `ceilings` float64 (m,), the BM25 of a tool
    that had every word of the query. Row 0 is the whole query, the others are its clauses.
    """

    tool_ids: NDArray[np.int64]
    servers: NDArray[np.int64]
    cosines: Floats | None
    lexical: Floats
    ceilings: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranking:
    """`fused` float32 (n,), the rank value of each tool; `order`, positions of the shortlist among them, best first."""

    fused: Floats
    order: NDArray[np.intp]


def rank(signals: Signals, background: Background) -> Ranking:
    """The order of the tools of `signals`; equal ones by their ids."""
    tools = len(signals.tool_ids)
    if not tools:
        return Ranking(np.empty(0, np.float32), np.empty(0, np.intp))
    fused = _fused(signals, 0, background)
    clauses = len(signals.lexical) - 1
    if clauses > 1:
        best = _fused(signals, 1, background)
        for clause in range(2, clauses + 1):
            np.maximum(best, _fused(signals, clause, background), out=best)
        fused += np.float32(CLAUSE_WEIGHT) * best
    size = min(SHORTLIST, tools)
    shortlist = np.argpartition(fused, tools - size)[tools - size :] if size < tools else np.arange(tools)
    fused[shortlist] += _votes(fused[shortlist], signals.servers[shortlist])
    order = shortlist[np.lexsort((signals.tool_ids[shortlist], -fused[shortlist]))]
    return Ranking(fused, order)


def coverage(signals: Signals, row: int = 0) -> float:
    """How much of the query the words of the tool that matches them best cover, 0…1."""
    ceiling = float(signals.ceilings[row])
    return float(signals.lexical[row].max()) / ceiling if ceiling > 0 else 0.0


def _fused(signals: Signals, row: int, background: Background) -> Floats:
    words = _standardised(signals.lexical[row], 0.0, _LEXICAL_DEVIATION)
    if signals.cosines is None:
        return words
    share = min(max((coverage(signals, row) - COVERAGE_LOW) / (COVERAGE_HIGH - COVERAGE_LOW), 0.0), 1.0)
    weight = LEXICAL_WEIGHT_LOW + share * (LEXICAL_WEIGHT_HIGH - LEXICAL_WEIGHT_LOW)
    cosines = signals.cosines[row]
    missing = np.isnan(cosines)
    if missing.any():
        meaning = np.empty_like(cosines)
        meaning[~missing] = _standardised(cosines[~missing], background.mean, background.deviation)
        meaning[missing] = _EXPECTED_BY_WORDS * words[missing]
    else:
        meaning = _standardised(cosines, background.mean, background.deviation)
    fused: Floats = meaning + np.float32(weight) * words
    return fused


def _standardised(values: Floats, mean: float, deviation: float) -> Floats:
    """z of `values`, drawn to the given mean and deviation where they are few."""
    count = len(values)
    own = float(values.mean()) if count else mean
    spread = float(values.std()) if count else deviation
    total = count + _PRIOR_TOOLS
    centre = (count * own + _PRIOR_TOOLS * mean) / total
    variance = count * (spread**2 + (own - centre) ** 2) + _PRIOR_TOOLS * (deviation**2 + (mean - centre) ** 2)
    standardised: Floats = (values - np.float32(centre)) / np.float32(
        max(math.sqrt(variance / total), _SMALLEST_DEVIATION)
    )
    return standardised


def _votes(fused: Floats, servers: NDArray[np.int64]) -> Floats:
    """What each tool of the shortlist gains by its server: the mean of the three best, over the last of the list."""
    floor = fused.min()
    codes = np.unique(servers, return_inverse=True)[1]
    if codes.max(initial=0) == 0:
        return np.zeros_like(fused)
    order = np.lexsort((-fused, codes))
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) > 0])
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    best = order[place < VOTERS]
    means = np.bincount(codes[best], weights=fused[best] - floor) / np.bincount(codes[best])
    votes: Floats = (VOTE_WEIGHT * means)[codes].astype(np.float32)
    return votes
