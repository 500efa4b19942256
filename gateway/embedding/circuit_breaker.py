"""The circuit breaker of an embedding server."""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Leaves a server alone for `rest_seconds` once it failed `limit` times in a row.

    After the rest, requests go through again; the first success closes the circuit, the first failure opens it anew.
    """

    def __init__(self, limit: int = 5, rest_seconds: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._rest_seconds = rest_seconds
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    @property
    def rest_left(self) -> float:
        """Seconds for which no request may be sent; 0 when one may."""
        if self._failures < self.limit:
            return 0.0
        return max(0.0, self._open_until - self._clock())

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._open_until = self._clock() + self._rest_seconds
