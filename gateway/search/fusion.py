"""Meaning and words as one score.

The rank of a tool in its query is `similarity + 5 * BM25 / sqrt(ceiling * best BM25)`, where similarity is the weighted
cosine in units of the space's calibration. Of the two plain scalings, one by the best BM25 of the query counts a weak
match in full where nothing matches well, and one by the largest possible BM25 leaves nothing of it in a long query;
their geometric mean ranks as well as min-max fusion on each of the sets of `bench/retrieval.py`.

The score is logistic in the rank, so that it never contradicts it, and starts from what speaks for the best tool of the
query: its similarity, the rare words that it shares, its lead over the next, and how few others there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.search.bm25 import max_word_score
from gateway.search.calibration import COMBINED_WEIGHT, DESCRIPTION_WEIGHT, NAME_WEIGHT, Calibration

_LEXICAL_WEIGHT = 5.0
# Least squares over the best five by BM25 of each query: what similarity to expect of a tool that has no vector.
_EXPECTED_SIMILARITY, _EXPECTED_BY_WORDS = 0.3, 4.4
# Logistic regression of "this tool is right" over the three sets and queries of other catalogues, rounded; the base is
# raised by 1.2, for of the best tools that LiveMCPBench does not name as right about half would have done as well.
_BASE, _BY_SIMILARITY, _BY_WORDS, _BY_LEAD, _BY_GAP = -3.2, 0.28, 2.0, 0.6, 1.0
_LARGEST_LEAD = 3.0
# Fewer tools, fewer chances for a wrong one; seen from 500 tools down to 10, and not above.
_BY_SIZE, _MANY_TOOLS, _FEW_TOOLS = 0.15, 500, 4
# Cosines this near in both name and description are those of one tool on two servers, which is no rival to itself.
_SAME_COSINE = 1e-3


@dataclass(frozen=True, slots=True)
class Candidate:
    """One visible tool of one query.

    `combined`, `name` and `description` are the cosines (-1…1) between the query and the vectors of those texts, None
    where there is no such vector; `lexical` is the tool's BM25 (0 or more; 0 where no word of the query stands in it).
    """

    tool_id: int
    combined: float | None
    name: float | None
    description: float | None
    lexical: float


def fuse(
    candidates: Sequence[Candidate], calibration: Calibration, lexical_ceiling: float, tool_count: int
) -> list[float]:
    """The score of each candidate, 0…1, in the order given; a higher score is a better rank.

    At 0.5 a tool is as likely wrong as right. `lexical_ceiling` is the largest BM25 that a tool could have for this
    query: the sum of idf * (K1 + 1) over its words that stand in the catalogue. `tool_count` is the number of tools
    that those frequencies were counted over. Candidates without vectors are scored by their words, all of them where
    none has a vector.
    """
    if not candidates:
        return []
    lexical = _scaled_lexical(candidates, lexical_ceiling)
    similarities = [
        _similarity(candidate, calibration, words) for candidate, words in zip(candidates, lexical, strict=True)
    ]
    ranks = [similarity + _LEXICAL_WEIGHT * words for similarity, words in zip(similarities, lexical, strict=True)]
    best = max(range(len(candidates)), key=lambda i: (ranks[i], candidates[i].lexical, -candidates[i].tool_id))
    evidence = (
        _BASE
        + _BY_SIMILARITY * similarities[best]
        + _BY_WORDS * math.sqrt(candidates[best].lexical / max_word_score(tool_count))
        + _BY_LEAD * _lead(candidates, ranks, best)
        + _BY_SIZE * math.log(_MANY_TOOLS / min(max(tool_count, _FEW_TOOLS), _MANY_TOOLS))
    )
    return [_logistic(evidence - _BY_GAP * (ranks[best] - rank)) for rank in ranks]


def _scaled_lexical(candidates: Sequence[Candidate], ceiling: float) -> list[float]:
    """BM25 as a share of the geometric mean of the best of this query and the best there could be, 0…1."""
    best = max(candidate.lexical for candidate in candidates)
    if best <= 0:
        return [0.0] * len(candidates)
    scale = math.sqrt(best) * math.sqrt(max(ceiling, best))
    return [candidate.lexical / scale for candidate in candidates]


def _similarity(candidate: Candidate, calibration: Calibration, words: float) -> float:
    """The weighted cosine over that of unrelated texts, in units of the calibration."""
    total = weight = 0.0
    for cosine, mean, share in (
        (candidate.combined, calibration.combined_mean, COMBINED_WEIGHT),
        (candidate.name, calibration.name_mean, NAME_WEIGHT),
        (candidate.description, calibration.description_mean, DESCRIPTION_WEIGHT),
    ):
        if cosine is not None:
            total += share * (cosine - mean)
            weight += share
    if weight == 0:
        return _EXPECTED_SIMILARITY + _EXPECTED_BY_WORDS * words
    return total / weight / calibration.unit


def _lead(candidates: Sequence[Candidate], ranks: Sequence[float], best: int) -> float:
    """How far the best stands above the next tool that is another one, and above an unrelated tool, at most 3."""
    rival = max(
        (rank for candidate, rank in zip(candidates, ranks, strict=True) if not _same(candidate, candidates[best])),
        default=0.0,
    )
    return min(max(ranks[best] - max(rival, 0.0), 0.0), _LARGEST_LEAD)


def _same(one: Candidate, other: Candidate) -> bool:
    if one.tool_id == other.tool_id:
        return True
    if one.name is None or other.name is None or one.description is None or other.description is None:
        return False
    return abs(one.name - other.name) < _SAME_COSINE and abs(one.description - other.description) < _SAME_COSINE


def _logistic(evidence: float) -> float:
    # Beyond this the exponential overflows.
    return 1 / (1 + math.exp(min(-evidence, 700.0)))
