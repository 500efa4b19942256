"""A circuit breaker: what fails again and again is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Opens for `pause_seconds` after `max_failures` in a row. After the pause it is half open: the first success
    closes it, the first failure opens it anew.

    Whoever wants only one try while it is half open asks `begin_probe`; whoever lets all through looks at `is_open`.
    """

    def __init__(self, max_failures: int, pause_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_failures = max_failures
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def failures(self) -> int:
        """How many there were in a row."""
        return self._failures

    @property
    def is_closed(self) -> bool:
        """Whether nothing stands in the way of anybody."""
        return self._open_until is None

    @property
    def is_open(self) -> bool:
        """Whether nobody may try now."""
        return self.seconds_left > 0

    @property
    def seconds_left(self) -> float:
        """How long it stays open; 0 where it is not."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def begin_probe(self) -> bool:
        """Become the one who tries for all while it is half open, and who has to call `end_probe`. Returns False where
        it is open, or where somebody else is that one already.
        """
        if self._probing or self.is_open:
            return False
        self._probing = True
        return True

    def end_probe(self) -> None:
        """Whoever tried for all is done, with or without an outcome."""
        self._probing = False

    def record_success(self) -> None:
        self._failures = 0
        self._open_until = None

    def record_failure(self) -> None:
        self._failures += 1
        if self._failures >= self._max_failures:
            self._open_until = self._clock() + self._pause_seconds
