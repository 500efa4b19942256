from __future__ import annotations

from gateway.embedding.circuit_breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_circuit_opens_after_so_many_failures_in_a_row_and_closes_after_the_rest() -> None:
    clock = Clock()
    breaker = CircuitBreaker(limit=2, rest_seconds=10, clock=clock)
    breaker.failed()
    assert breaker.rest_left == 0
    breaker.failed()
    assert breaker.rest_left == 10
    clock.now += 4
    assert breaker.rest_left == 6
    clock.now += 6
    assert breaker.rest_left == 0


def test_a_failure_after_the_rest_opens_the_circuit_at_once() -> None:
    clock = Clock()
    breaker = CircuitBreaker(limit=2, rest_seconds=10, clock=clock)
    breaker.failed()
    breaker.failed()
    clock.now += 10
    breaker.failed()
    assert breaker.rest_left == 10


def test_a_success_forgets_the_failures_before_it() -> None:
    breaker = CircuitBreaker(limit=2, rest_seconds=10, clock=Clock())
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.rest_left == 0
