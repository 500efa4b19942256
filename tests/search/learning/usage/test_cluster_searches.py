"""What a call follows while other members cannot say what was searched for there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from gateway.cluster.links.hop import Hop
from gateway.cluster.member import Member
from gateway.search.learning.usage import cluster_searches
from gateway.search.learning.usage.cluster_searches import ClusterSearches, FollowingCall
from gateway.search.learning.usage.recent_searches import RecentSearches, UsedSearch
from gateway.search.request import FoundTool, Match, SearchOutcome

ECHO = FoundTool(Match(1, 0.9, 0.9), "a__echo", "echo", "a", "other", "", "", "{}", None, None)


async def test_members_that_do_not_answer_take_no_search_of_this_one_along_when_it_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_searches, "_GATHER_SECONDS", 0.0)
    monkeypatch.setattr(cluster_searches, "_ASK_SECONDS", 0.2)
    monkeypatch.setattr(cluster_searches, "_SHUTDOWN_SECONDS", 0.5)
    asked = asyncio.Event()

    async def connect(address: str) -> Any:
        asked.set()
        await anyio.sleep_forever()

    searches = RecentSearches()
    searches.remember(1, "caller", ["say it"], SearchOutcome(1, (ECHO,), "", ()))
    others: Any = SimpleNamespace(others={f"m{each}": Member(f"m{each}", "nowhere") for each in range(5)})
    hop = Hop(lambda: (), lambda: "m", connect)
    recorded: list[UsedSearch] = []
    async with ClusterSearches(searches, others, hop) as calls:
        calls.follow(FollowingCall(1, "caller", 1, recorded.append))
        await asked.wait()
    assert [used.query for used in recorded] == ["say it"]
