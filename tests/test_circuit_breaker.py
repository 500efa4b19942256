from __future__ import annotations

from gateway.circuit_breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_circuit_opens_after_so_many_failures_in_a_row_and_closes_after_the_rest() -> None:
    clock = Clock()
    breaker = CircuitBreaker(max_failures=2, pause_seconds=10, clock=clock)
    breaker.record_failure()
    assert breaker.seconds_left == 0
    breaker.record_failure()
    assert breaker.seconds_left == 10
    clock.now += 4
    assert breaker.seconds_left == 6
    clock.now += 6
    assert breaker.seconds_left == 0


def test_a_failure_after_the_rest_opens_the_circuit_at_once() -> None:
    clock = Clock()
    breaker = CircuitBreaker(max_failures=2, pause_seconds=10, clock=clock)
    breaker.record_failure()
    breaker.record_failure()
    clock.now += 10
    breaker.record_failure()
    assert breaker.seconds_left == 10


def test_a_success_forgets_the_failures_before_it() -> None:
    breaker = CircuitBreaker(max_failures=2, pause_seconds=10, clock=Clock())
    breaker.record_failure()
    breaker.record_success()
    breaker.record_failure()
    assert breaker.seconds_left == 0


def test_after_the_pause_one_caller_at_a_time_tries_for_all() -> None:
    clock = Clock()
    breaker = CircuitBreaker(max_failures=1, pause_seconds=10, clock=clock)
    breaker.record_failure()
    assert not breaker.begin_probe()
    clock.now += 10
    assert breaker.begin_probe()
    assert not breaker.begin_probe()
    breaker.end_probe()
    assert breaker.begin_probe()
    breaker.record_success()
    assert breaker.is_closed
