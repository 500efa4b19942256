"""Since when the cluster has been behind, by numbers that it is to reach."""

from __future__ import annotations

from gateway.search.index.opensearch.catalogue_lag import CatalogueLag


def test_what_is_not_reached_counts_from_when_it_was_known() -> None:
    now = 0.0
    lag = CatalogueLag(clock=lambda: now)
    assert lag.seconds("here", 7, 7) == 0
    now = 100.0
    assert lag.seconds("here", 8, 7) == 0
    now = 103.0
    assert lag.seconds("here", 9, 7) == 3
    assert lag.seconds("elsewhere", 9, 7) == 0
    # The one that was waited for is there; the next one is waited for from now on.
    assert lag.seconds("here", 9, 8) == 0
    now = 104.0
    assert lag.seconds("here", 9, 8) == 1
    assert lag.seconds("here", 9, 9) == 0


def test_a_catalogue_that_changes_without_a_pause_is_not_taken_for_one_that_nobody_follows() -> None:
    now = 0.0
    lag = CatalogueLag(clock=lambda: now)
    for version in range(100):
        now += 1.0
        assert lag.seconds("here", version, version - 2) <= 2


def test_what_was_taken_out_is_not_waited_for() -> None:
    now = 0.0
    lag = CatalogueLag(clock=lambda: now)
    assert lag.seconds("here", 10, 8) == 0
    now = 9.0
    assert lag.seconds("here", 8, 8) == 0
