"""How the answer of a search came about: what was measured of each tool, and how long each step took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.embedding.spaces.query_embedding import QueryVectors
from gateway.search.learning.learnt_effect import LearntEffect
from gateway.search.request import SearchOutcome
from gateway.search.rerank.reranking import RerankReport

ToolOutcome: TypeAlias = Literal["found", "beyond", "cut"]
"""In the answer; over the threshold, after the last of `max_results`; or under it."""

SearchStep: TypeAlias = Literal["embed", "index", "score", "rerank"]
"""Embedding the queries; what is asked of the index and the database; scoring, cutting and merging; the reranker."""


@dataclass(frozen=True, slots=True)
class MeasuredTool:
    """What the index measured of a tool: its weighted `cosine`, None without vectors, and its BM25, `lexical`."""

    cosine: float | None
    lexical: float


@dataclass(frozen=True, slots=True)
class ExplainedTool:
    """A tool that a search looked at, with what decided.

    `measured` is None of a tool that is no longer there; `moved_from` the place, counted from 1, that a reranker has
    moved it from, None where it has not. `learnt` is what its examples did, None where nothing is learnt of it.
    """

    tool_id: int
    outcome: ToolOutcome
    score: float
    measured: MeasuredTool | None
    moved_from: int | None = None
    learnt: LearntEffect | None = None


@dataclass(frozen=True, slots=True)
class SearchTimes:
    """Milliseconds of each step; together they are the time that the search took."""

    embed: float
    index: float
    score: float
    rerank: float


@dataclass(frozen=True, slots=True)
class SearchExplanation:
    """An outcome, and how it came about.

    `tools` are those of the outcome in its order, then the others, best first. `query_vectors` are those of the first
    query, None where it could not be embedded; `embedding_error` says why, empty where it could. `rerank` is what
    became of reranking it, None where it was not.
    """

    outcome: SearchOutcome
    tools: tuple[ExplainedTool, ...]
    times: SearchTimes
    query_vectors: QueryVectors | None
    embedding_error: str
    rerank: RerankReport | None = None


class StepTimer:
    """Divides the time that passes among the steps of a search, without a gap."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._milliseconds: dict[SearchStep, float] = {"embed": 0.0, "index": 0.0, "score": 0.0, "rerank": 0.0}
        self._lapped_at = clock()

    def lap(self, step: SearchStep) -> None:
        """The time since the last lap was spent on `step`."""
        now = self._clock()
        self._milliseconds[step] += (now - self._lapped_at) * 1000
        self._lapped_at = now

    @property
    def times(self) -> SearchTimes:
        """What has been spent until now."""
        return SearchTimes(**self._milliseconds)
