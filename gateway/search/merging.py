"""The best tools of several queries as one list, each tool once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gateway.search.query_result import QueryResult
from gateway.search.ranking import SHORTLIST
from gateway.search.request import Match
from gateway.settings import SearchSettings


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A match, and what it is ordered by: the score of its place among those of its query, and that place."""

    match: Match
    place_score: float
    place: int

    @property
    def key(self) -> tuple[bool, float, int, float, int]:
        match = self.match
        return not match.is_named, -self.place_score, self.place, -(match.similarity or 0.0), match.tool_id


def merge(queries: Sequence[QueryResult], best: int, settings: SearchSettings) -> list[Match]:
    """The `best`, each tool once: those that a query names first, then by score."""
    if len(queries) > 1:
        # A tool that is shown says which queries found it, also those that it is not among the best of.
        best = SHORTLIST
    merged: dict[int, _Ranked] = {}
    for number, result in enumerate(queries):
        positions = result.order[:best]
        matches = result.matches(positions, number, settings.threshold)
        named = _named(result, number, settings)
        if len(queries) == 1 and not named:
            return matches
        place_scores = np.minimum(result.place_scores[positions], 1.0).tolist()
        of_query = {one.match.tool_id: one for one in named}
        for place, (match, place_score) in enumerate(zip(matches, place_scores, strict=True)):
            of_query.setdefault(match.tool_id, _Ranked(match, place_score, place))
        for tool_id, one in of_query.items():
            known = merged.get(tool_id)
            merged[tool_id] = one if known is None else _join(known, one)
    return [one.match for one in sorted(merged.values(), key=lambda one: one.key)]


def count_passing(queries: Sequence[QueryResult], matches: Sequence[Match], threshold: float) -> int:
    """How many tools pass, or go by a query as it stands, each once."""
    passing = [result.signals.tool_ids[result.scores >= threshold] for result in queries]
    named = [match.tool_id for match in matches if match.is_named]
    if len(passing) == 1 and not named:
        return len(passing[0])
    return len(np.unique(np.concatenate([*passing, np.array(named, np.int64)])))


def _named(result: QueryResult, number: int, settings: SearchSettings) -> list[_Ranked]:
    """The tools that go by the query as it stands; in cosine mode their score is still the cosine."""
    positions = [position for tool_id in result.named if (position := result.position_of(tool_id)) is not None]
    matches = result.matches(np.asarray(positions, np.intp), number, 0.0)
    named = [replace(match, is_named=True) for match in matches]
    if settings.mode == "hybrid":
        named = [replace(match, score=1.0) for match in named]
    return [_Ranked(match, match.score, 0) for match in named]


def _join(known: _Ranked, found: _Ranked) -> _Ranked:
    """A tool that another query found as well."""
    best = min(found, known, key=lambda one: one.key)
    numbers = (*known.match.query_positions, *found.match.query_positions)
    return replace(best, match=replace(best.match, query_positions=numbers))
