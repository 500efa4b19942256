"""What came of one query, before it is merged with others and cut to what is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.embedding.spaces.query_embedding import QueryVectors
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.ranking import Floats, Signals
from gateway.search.request import Match
from gateway.search.rerank.reranking import RerankReport


@dataclass(frozen=True, slots=True)
class Reranked:
    """What a reranker did to a result; `former_order` is its `order` before."""

    report: RerankReport
    former_order: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What came of one query.

    `scores` float32 (n,) of the tools of `signals`; `order`, positions among them, best first; `place_scores` float32
    (n,), what each is ordered by among those of other queries: its score, or that of the place that it was given.
    `named` are the ids of tools that go by the query. `space` is the one whose tools were searched, None where none
    serves; `vectors` those of the query, None where it could not be embedded and `embedding_error` says why.
    """

    signals: Signals
    scores: Floats
    place_scores: Floats
    order: NDArray[np.intp]
    named: Sequence[int]
    space: StoredSpace | None
    vectors: QueryVectors | None
    embedding_error: str
    reranked: Reranked | None = None

    def matches(self, positions: NDArray[np.intp], number: int, threshold: float) -> list[Match]:
        """The tools at `positions` of `signals`. This query, the one of that `number`, found those over `threshold`."""
        # As lists: one look into an array costs more than all that is done with a number from it.
        tool_ids = self.signals.tool_ids[positions].tolist()
        scores = np.minimum(self.scores[positions], 1.0).tolist()
        cosines = (
            [math.nan] * len(tool_ids) if self.signals.cosines is None else self.signals.cosines[0, positions].tolist()
        )
        return [
            Match(tool_id, score, None if math.isnan(cosine) else cosine, (number,) if score >= threshold else ())
            for tool_id, score, cosine in zip(tool_ids, scores, cosines, strict=True)
        ]

    def position_of(self, tool_id: int) -> int | None:
        """Where a tool is in `signals`; None where it is not."""
        found = np.flatnonzero(self.signals.tool_ids == tool_id)
        return int(found[0]) if len(found) else None

    def moved_from(self, tool_id: int) -> int | None:
        """The place, counted from 1, that a reranker has moved this tool from; None where it has not."""
        position = self.position_of(tool_id)
        if self.reranked is None or position is None:
            return None
        now, before = (np.flatnonzero(order == position).tolist() for order in (self.order, self.reranked.former_order))
        return before[0] + 1 if now != before else None

    def rerank(self, places: Sequence[int], report: RerankReport, *, scores_are_cosines: bool) -> QueryResult:
        """The tools at `places` of the order, moved among them as the report says.

        A place keeps its score, whoever comes to it: it says how often the tool that is put there is right, and it
        means the same for every reranker. Only a cosine stays with its tool.
        """
        slots = np.asarray(places, np.intp)
        order, place_scores = self.order.copy(), self.place_scores.copy()
        order[slots] = self.order[slots[list(report.order)]]
        place_scores[order[slots]] = self.place_scores[self.order[slots]]
        return replace(
            self,
            scores=self.scores if scores_are_cosines else place_scores,
            place_scores=place_scores,
            order=order,
            reranked=Reranked(report, self.order),
        )
