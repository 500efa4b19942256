"""Leaving a failing server alone."""

from __future__ import annotations

import anyio
import pytest

from gateway.errors import UpstreamUnavailableError
from gateway.upstream.server_breaker import ServerBreaker


def failed(breaker: ServerBreaker, times: int) -> None:
    for _ in range(times):
        breaker.record_failure(RuntimeError("It broke."))


async def test_callers_are_admitted_until_the_last_failure() -> None:
    breaker = ServerBreaker("S", 5, 60)
    failed(breaker, 4)
    assert breaker.admit() is False
    failed(breaker, 1)
    assert breaker.is_open
    with pytest.raises(UpstreamUnavailableError, match=r"left alone for 60 s more; .*It broke\."):
        breaker.admit()


async def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = ServerBreaker("S", 5, 60)
    failed(breaker, 4)
    breaker.record_success()
    failed(breaker, 4)
    assert breaker.admit() is False


async def test_after_the_pause_one_caller_tries_for_all() -> None:
    breaker = ServerBreaker("S", 2, 0)
    failed(breaker, 2)
    assert breaker.admit() is True
    with pytest.raises(UpstreamUnavailableError, match="until one more try has succeeded"):
        breaker.admit()
    breaker.end_probe()
    assert breaker.admit() is True
    breaker.record_success()
    breaker.end_probe()
    assert breaker.admit() is False


async def test_connecting_again_waits_only_after_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = ServerBreaker("S", 5, 60)
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    with monkeypatch.context() as patched:
        patched.setattr(anyio, "sleep", note)
        await breaker.wait_to_reconnect()
    assert waits == [0.0]
    begun = anyio.current_time()
    failed(breaker, 3)
    await breaker.wait_to_reconnect()
    assert 0.19 <= anyio.current_time() - begun < 5
