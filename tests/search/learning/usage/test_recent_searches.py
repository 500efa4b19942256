"""Which search a call follows."""

from __future__ import annotations

from gateway.search.learning.usage.recent_searches import LATER_CALL, WITHIN_SECONDS, RecentSearches
from gateway.search.request import FoundTool, Match, SearchOutcome

TENANT = 1


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def found(tool_id: int, *positions: int) -> FoundTool:
    match = Match(tool_id, 0.7, 0.5, positions)
    return FoundTool(match, f"tool_{tool_id}", "tool", "server", "other", None, "", "{}", None, None)


def outcome(*tools: FoundTool, more: tuple[FoundTool, ...] = ()) -> SearchOutcome:
    return SearchOutcome(len(tools), tools, more=more)


def test_a_call_follows_the_last_search_whose_answer_held_its_tool() -> None:
    searches = RecentSearches(Clock())
    searches.remember(TENANT, "me", ("first",), outcome(found(1), found(2)))
    searches.remember(TENANT, "me", ("second",), outcome(found(2), more=(found(3),)))
    for tool_id, query in ((1, "first"), (2, "second"), (3, "second")):
        used = searches.follow(TENANT, "me", tool_id)
        assert used is not None
        assert used.query == query
    assert searches.follow(TENANT, "me", 4) is None


def test_the_first_call_after_a_search_counts_whole_and_later_ones_half() -> None:
    searches = RecentSearches(Clock())
    searches.remember(TENANT, "me", ("said",), outcome(found(1), found(2)))
    weights = [used.weight for tool_id in (2, 1, 1) if (used := searches.follow(TENANT, "me", tool_id)) is not None]
    assert weights == [1.0, LATER_CALL, LATER_CALL]


def test_of_several_queries_it_is_the_one_that_found_the_tool() -> None:
    searches = RecentSearches(Clock())
    searches.remember(TENANT, "me", ("a", "b"), outcome(found(1, 1), found(2, 0, 1), more=(found(3),)))
    one, two = searches.follow(TENANT, "me", 1), searches.follow(TENANT, "me", 2)
    assert one is not None
    assert two is not None
    assert (one.query, two.query) == ("b", "a")
    # Below the threshold nobody says which.
    assert searches.follow(TENANT, "me", 3) is None


def test_nobody_follows_what_another_or_one_of_another_tenant_searched_for() -> None:
    searches = RecentSearches(Clock())
    searches.remember(TENANT, "me", ("said",), outcome(found(1)))
    assert searches.follow(TENANT, "another", 1) is None
    assert searches.follow(TENANT + 1, "me", 1) is None


def test_after_ten_minutes_a_call_follows_nothing() -> None:
    clock = Clock()
    searches = RecentSearches(clock)
    searches.remember(TENANT, "me", ("said",), outcome(found(1)))
    clock.seconds += WITHIN_SECONDS + 1
    searches.remember(TENANT, "me", ("another",), outcome(found(2)))
    assert searches.follow(TENANT, "me", 1) is None
