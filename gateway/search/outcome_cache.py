"""What searches found, kept as long as nothing that they read has changed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from cachetools import TTLCache

from gateway.catalog.tool_override import ToolOverride
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.query.embedded_query import EmbeddedQuery
from gateway.search.request import SearchOutcome, SearchRequest

_MAX_OUTCOMES = 1_000
# Whatever was overlooked, and the tools of catalogues that nobody searches any more, are gone after that.
_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class SearchState:
    """What a search depends on beside what is asked: equal states give equal outcomes.

    `revisions` are those of the index, one for each query; `overrides` what the caller's profile calls otherwise.
    """

    scope: SearchScope
    space_ids: tuple[int, ...]
    revisions: tuple[Hashable, ...]
    overrides: Mapping[int, ToolOverride]


class OutcomeCache:
    """Outcomes by request and scope."""

    def __init__(self) -> None:
        self._kept: TTLCache[tuple[SearchRequest, SearchScope], tuple[SearchState, SearchOutcome]] = TTLCache(
            _MAX_OUTCOMES, _SECONDS
        )

    def get(self, request: SearchRequest, state: SearchState) -> SearchOutcome | None:
        """What this request finds in this state; None where that is not known."""
        kept = self._kept.get((request, state.scope))
        return kept[1] if kept is not None and kept[0] == state else None

    def store(self, request: SearchRequest, state: SearchState, outcome: SearchOutcome) -> None:
        """Keep what a request has found; `state` is that before and after it."""
        self._kept[request, state.scope] = state, outcome


async def search_state(
    index: ToolIndex,
    scope: SearchScope,
    queries: Sequence[EmbeddedQuery],
    overrides: Mapping[int, ToolOverride],
) -> SearchState | None:
    """The state for these queries; None where one is not as usual, or the index does not know of changes."""
    spaces = []
    revisions = []
    for query in queries:
        if query.vectors is None or query.vectors.standby_for:
            return None
        revision = await index.revision(scope, query.vectors.stored)
        if revision is None:
            return None
        spaces.append(query.vectors.stored.id)
        revisions.append(revision)
    return SearchState(scope, tuple(spaces), tuple(revisions), overrides)
