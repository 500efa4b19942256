"""When a list counts as changed, as pure logic."""

from __future__ import annotations

import pytest

from gateway.downstream.lists.list_snapshot import (
    EMPTY_DIGEST,
    ListSnapshot,
    ListState,
    digest_items,
    has_changed,
    new_unknown_lists,
)

ONE, OTHER = digest_items([{"name": "a"}]), digest_items([{"name": "b"}])
UNKNOWN = ListState(("s",), None)


def of(state: ListState | None) -> ListSnapshot:
    return {} if state is None else {(1, "prompts"): state}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (None, None, False),
        # A server comes or goes.
        (None, ListState(("s",), ONE), True),
        (ListState(("s",), ONE), None, True),
        (None, ListState(("s",), EMPTY_DIGEST), False),
        (ListState(("s",), EMPTY_DIGEST), None, False),
        # One that was never asked is shown to nobody when it comes, and may have been shown when it goes.
        (None, UNKNOWN, False),
        (UNKNOWN, None, True),
        # The first to ask makes no change.
        (UNKNOWN, ListState(("s",), ONE), False),
        (UNKNOWN, ListState(("s",), None, change_count=1), True),
        (ListState(("s",), ONE), ListState(("s",), ONE), False),
        (ListState(("s",), ONE), ListState(("s",), OTHER), True),
        # Items are named by their server.
        (ListState(("s",), ONE), ListState(("t",), ONE), True),
        (ListState(("s",), EMPTY_DIGEST), ListState(("t",), EMPTY_DIGEST), False),
    ],
)
def test_a_list_has_changed_where_somebody_may_have_seen_it_otherwise(
    before: ListState | None, after: ListState | None, changed: bool
) -> None:
    assert has_changed(of(before), of(after)) is changed


def test_a_new_list_has_to_be_asked_for_where_nothing_is_known_of_it() -> None:
    assert new_unknown_lists({}, of(UNKNOWN)) == {(1, "prompts")}
    assert new_unknown_lists(of(UNKNOWN), of(UNKNOWN)) == set()
    assert new_unknown_lists({}, of(ListState(("s",), ONE))) == set()
