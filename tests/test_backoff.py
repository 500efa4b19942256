from __future__ import annotations

from gateway.backoff import Backoff


def test_waits_double_up_to_the_longest_and_are_shortened_by_at_most_a_half() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=5)
    for failures, full in ((1, 1), (2, 2), (3, 4), (4, 5), (50, 5)):
        assert all(full / 2 <= backoff.delay(failures) <= full for _ in range(50))


def test_two_callers_do_not_wait_equally_long() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=5)
    assert len({backoff.delay(1) for _ in range(20)}) > 1


def test_nothing_is_waited_for_before_the_first_failure() -> None:
    assert Backoff(first_seconds=1, longest_seconds=5).delay(0) == 0


def test_what_has_failed_for_days_still_has_a_wait() -> None:
    assert 2.5 <= Backoff(first_seconds=0.1, longest_seconds=5).delay(100_000) <= 5
