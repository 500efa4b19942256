from __future__ import annotations

from gateway.embedding.retry_policy import Backoff


def test_waits_double_up_to_the_longest_and_are_shortened_by_at_most_a_half() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=5)
    for attempt, full in ((1, 1), (2, 2), (3, 4), (4, 5), (50, 5)):
        assert all(full / 2 <= backoff.wait(attempt) <= full for _ in range(50))


def test_two_callers_do_not_wait_equally_long() -> None:
    backoff = Backoff()
    assert len({backoff.wait(1) for _ in range(20)}) > 1
