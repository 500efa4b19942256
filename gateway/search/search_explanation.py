"""How the answer of a search came about: what was measured of each tool, and how long each step took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.embedding.spaces import QueryVector
from gateway.search.fusion import Candidate
from gateway.search.request import SearchOutcome

ToolOutcome: TypeAlias = Literal["found", "beyond", "cut"]
"""In the answer; over the threshold, after the last of `max_results`; or under it."""

SearchStep: TypeAlias = Literal["embed", "sql", "score"]
"""Embedding the queries; what is read of the database; scoring, cutting and merging."""


@dataclass(frozen=True, slots=True)
class ExplainedTool:
    """A tool that a search looked at, with what decided.

    `candidate` is None of a tool that was not among the candidates, and was found by its name alone.
    """

    tool_id: int
    outcome: ToolOutcome
    score: float
    candidate: Candidate | None


@dataclass(frozen=True, slots=True)
class SearchTimes:
    """Milliseconds of each step; together they are the time that the search took."""

    embed: float
    sql: float
    score: float


@dataclass(frozen=True, slots=True)
class SearchExplanation:
    """An outcome, and how it came about.

    `tools` are those of the outcome in its order, then the others, best first. `query_vector` is that of the first
    query, None where it could not be embedded; `embedding_error` says why, empty where it could.
    """

    outcome: SearchOutcome
    tools: tuple[ExplainedTool, ...]
    times: SearchTimes
    query_vector: QueryVector | None
    embedding_error: str


class StepTimer:
    """Divides the time that passes among the steps of a search, without a gap."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._milliseconds: dict[SearchStep, float] = {"embed": 0.0, "sql": 0.0, "score": 0.0}
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
