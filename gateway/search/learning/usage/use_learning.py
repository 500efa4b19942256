"""Learning from use: which search a call follows."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.access.caller import Caller
from gateway.search.learning.usage.cluster_searches import ClusterSearches, FollowingCall
from gateway.search.learning.usage.pair_recorder import PairRecorder
from gateway.search.learning.usage.pair_store import QueryToolPair
from gateway.search.learning.usage.recent_searches import RecentSearches, UsedSearch
from gateway.search.request import SearchOutcome


class UseLearning:
    """Is told of searches and of calls that went well; neither waits for it."""

    def __init__(self, recorder: PairRecorder, searches: RecentSearches, calls: ClusterSearches) -> None:
        """`calls` finds out which of `searches`, or of those of other processes, calls follow."""
        self._recorder = recorder
        self._searches = searches
        self._calls = calls

    @property
    def recorder(self) -> PairRecorder:
        """What counts the pairs."""
        return self._recorder

    def record_search(self, caller: Caller, searcher: str, queries: Sequence[str], outcome: SearchOutcome) -> None:
        """What `searcher`, a session or else the caller, was answered."""
        self._searches.remember(caller.tenant_id, searcher, queries, outcome)

    def record_call(self, caller: Caller, searcher: str, tool_id: int) -> None:
        """A tool has done what it was called for."""
        account = account_of(caller)

        def record(used: UsedSearch) -> None:
            self._recorder.record(QueryToolPair(caller.tenant_id, tool_id, account, used.query, used.weight, used.at))

        self._calls.follow(FollowingCall(caller.tenant_id, searcher, tool_id, record))


def account_of(caller: Caller) -> str:
    """Under what the searches and calls of a caller are counted, in however many sessions: that of the person behind
    it, so that nobody is two by having two keys, or a new one in place of an old one.
    """
    return f"{caller.person.issuer} {caller.person.subject}"
