"""What callers have searched for lately, so that a call can be known to follow a search."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from cachetools import TTLCache

from gateway.catalog.examples.example_text import clip_text
from gateway.search.request import SearchOutcome

WITHIN_SECONDS = 600.0
"""A call that comes later has nothing to do with the search."""

LATER_CALL = 0.5
"""What a call counts that is not the first after a search."""

# All together take some tens of megabytes at most.
_MAX_CALLERS = 5_000
_MAX_SEARCHES = 4


@dataclass(frozen=True, slots=True)
class UsedSearch:
    """A search that led to a call: `query` is the one that found the tool; the call counts `weight`, 1 or less."""

    query: str
    weight: float
    at: datetime


@dataclass(slots=True)
class RecentSearch:
    """A search that was answered; `found_by` says of each tool of the answer which query found it, and `seconds` when
    it was by the clock of this process.
    """

    queries: Sequence[str]
    found_by: Mapping[int, int]
    seconds: float
    at: datetime
    is_used: bool = False

    def use(self, tool_id: int) -> UsedSearch:
        """A tool of its answer was called."""
        weight = LATER_CALL if self.is_used else 1.0
        self.is_used = True
        return UsedSearch(self.queries[self.found_by[tool_id]], weight, self.at)


@dataclass(slots=True)
class _Searches:
    """The last searches of a caller, newest first."""

    latest: deque[RecentSearch] = field(default_factory=lambda: deque(maxlen=_MAX_SEARCHES))


class RecentSearches:
    """The last searches of those who searched last; in memory, and of this process alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._of: TTLCache[tuple[int, str], _Searches] = TTLCache(_MAX_CALLERS, WITHIN_SECONDS, timer=clock)

    def remember(self, tenant_id: int, searcher: str, queries: Sequence[str], outcome: SearchOutcome) -> None:
        """What `searcher`, a session or else a key, has been answered."""
        if not outcome.tools and not outcome.more:
            return
        key = (tenant_id, searcher)
        searches = self._of.get(key) or _Searches()
        kept = tuple(map(clip_text, queries))
        found_by = _found_by(outcome, is_single=len(queries) == 1)
        searches.latest.appendleft(RecentSearch(kept, found_by, self._clock(), datetime.now(timezone.utc)))
        self._of[key] = searches

    def latest(self, tenant_id: int, searcher: str, tool_id: int) -> RecentSearch | None:
        """The last search of `searcher` whose answer held this tool; None without one."""
        searches = self._of.get((tenant_id, searcher))
        if searches is None:
            return None
        since = self._clock() - WITHIN_SECONDS
        for search in searches.latest:
            if search.seconds < since:
                return None
            if tool_id in search.found_by:
                return search
        return None

    def follow(self, tenant_id: int, searcher: str, tool_id: int) -> UsedSearch | None:
        """The same, now that the tool was called."""
        search = self.latest(tenant_id, searcher, tool_id)
        return None if search is None else search.use(tool_id)


def _found_by(outcome: SearchOutcome, *, is_single: bool) -> dict[int, int]:
    """The place of the query that found each tool of the answer, without those of which it does not say."""
    found: dict[int, int] = {}
    for tool in (*outcome.tools, *outcome.more):
        positions = tool.match.query_positions
        if is_single or positions:
            found[tool.match.tool_id] = 0 if is_single else positions[0]
    return found
