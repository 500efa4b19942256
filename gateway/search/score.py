"""The score of a tool: 0.5 where showing it is worth the room that it takes.

A missing right tool costs an agent about five times what a superfluous one costs, so 0.5 stands where a tool is right
with a probability of 1/6. The probability is logistic in what is known of the query and in how far the tool lies behind
the best one, so that no score contradicts the order. Everything in it is standardised, by the tools that the caller may
see or by what everyday requests find in the same space: it means the same for every embedder and every catalogue, and
nothing is fitted on the user's own. The constants are those of `python -m bench.score`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gateway.search.index.postings import K1, inverse_document_frequency
from gateway.search.ranking import CosineBaseline, Floats, Ranking, Signals

MISSING_COSTS = 5.0
"""How many superfluous tools cost as much as a missing right one."""

NAMEABLE = 1 / 40
"""A tool that is right with this probability is worth a line; see `search_answer`."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the logistic regression: a base, what speaks for the query, and the price of a step behind the best.

    The price grows with the square of the step: what lies close behind is as good, what lies far is another thing.
    """

    base: float
    lead: float
    meaning: float
    words: float
    size: float
    content: float
    behind: float


WITH_VECTORS = Weights(base=-5.1, lead=0.23, meaning=1.03, words=3.1, size=-0.75, content=0.31, behind=0.3)
BY_WORDS = Weights(base=-6.3, lead=-0.24, meaning=0.0, words=10.4, size=0.04, content=-0.27, behind=0.1)
MAX_CERTAIN = 2.0
"""The highest log odds that evidence for a query gives its best tool: what says more speaks for this one alone, and not
for those behind it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a query having its tool here.

    `lead` is the fused rank of the best tool; `meaning` is the nearest cosine, in deviations of everyday requests'
    cosines; `words` the root of the best BM25 over what one rarest word adds; `size` the logarithm of the number of
    tools; `content` that of the weight of all the words asked for.
    """

    lead: float
    meaning: float
    words: float
    size: float
    content: float


def evidence_of(signals: Signals, ranking: Ranking, baseline: CosineBaseline) -> Evidence:
    """The evidence for row 0 of `signals`, which are of one tool at least."""
    tools = signals.tools
    largest_word = (K1 + 1) * inverse_document_frequency(tools, 1)
    meaning = 0.0
    if signals.cosines is not None:
        nearest = float(np.nanmax(signals.cosines[0])) if not np.isnan(signals.cosines[0]).all() else baseline.mean
        meaning = (nearest - baseline.mean) / max(baseline.deviation, 1e-6)
    return Evidence(
        lead=float(ranking.fused[ranking.order[0]]),
        meaning=meaning,
        words=math.sqrt(max(float(signals.lexical[0].max()), 0.0) / max(largest_word, 1e-6)),
        size=math.log(tools),
        content=math.log1p(max(float(signals.max_lexical[0]), 0.0)),
    )


def scores_of(signals: Signals, ranking: Ranking, baseline: CosineBaseline) -> Floats:
    """The score, 0…1, of each tool of `signals`, float32 (n,), in their order."""
    if not len(signals.tool_ids):
        return np.empty(0, np.float32)
    weights = BY_WORDS if signals.cosines is None else WITH_VECTORS
    evidence = evidence_of(signals, ranking, baseline)
    best = (
        weights.base
        + weights.lead * evidence.lead
        + weights.meaning * evidence.meaning
        + weights.words * evidence.words
        + weights.size * evidence.size
        + weights.content * evidence.content
    )
    best = min(best, MAX_CERTAIN)
    steps = evidence.lead - ranking.fused
    odds = np.exp(np.clip(best - weights.behind * np.square(steps), -60.0, 60.0))
    worth = MISSING_COSTS * odds
    scores: Floats = (worth / (1 + worth)).astype(np.float32)
    return scores


def score_of(probability: float) -> float:
    """The score of a tool that is right with this probability."""
    return MISSING_COSTS * probability / (MISSING_COSTS * probability + 1 - probability)
