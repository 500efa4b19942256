"""Leaving a failing server alone for a while."""

from __future__ import annotations

import random

import anyio

from gateway.errors import UpstreamUnavailableError
from gateway.upstream import clock

_FIRST_DELAY_SECONDS = 0.1
_LAST_DELAY_SECONDS = 5.0

_random = random.SystemRandom()


class Breaker:
    """Counts failures in a row. After `max_failures` nobody may try for `pause_seconds`; then one caller at a time may,
    until one succeeds.
    """

    def __init__(self, server: str, max_failures: int, pause_seconds: float) -> None:
        self._server = server
        self._max_failures = max_failures
        self._pause_seconds = pause_seconds
        self._failures = 0
        self._until: float | None = None
        self._trial = False
        self._last_error = ""
        self._retry_at = 0.0

    @property
    def left_alone(self) -> bool:
        """Whether the server is left alone now."""
        return self._until is not None and clock.now() < self._until

    def admit(self) -> bool:
        """Let a caller try. Returns whether it is the one who tries for all, and then has to `conclude`.

        Raises UpstreamUnavailableError while the server is left alone.
        """
        if self._until is None:
            return False
        left = self._until - clock.now()
        if left > 0 or self._trial:
            wait = f"for {max(1, round(left))} s more" if left > 0 else "until one more try has succeeded"
            raise UpstreamUnavailableError(
                self._server,
                f"Server {self._server} failed {self._failures} times in a row and is left alone {wait}; "
                f"try again then. The last failure was: {self._last_error}",
            )
        self._trial = True
        return True

    def conclude(self) -> None:
        """The caller who tried for all is done, with or without an outcome."""
        self._trial = False

    def succeed(self) -> None:
        """The server answered."""
        self._failures = 0
        self._until = None
        self._retry_at = 0.0

    def fail(self, error: Exception) -> None:
        """The server could not be reached, ended, or did not answer in time."""
        self._failures += 1
        self._last_error = str(error)
        now = clock.now()
        delay = min(_FIRST_DELAY_SECONDS * 2 ** (self._failures - 1), _LAST_DELAY_SECONDS)
        self._retry_at = now + delay * _random.uniform(0.5, 1.0)
        if self._failures >= self._max_failures:
            # The pause is longer than any delay, unless it was configured to be short.
            self._until = now + self._pause_seconds
            self._retry_at = min(self._retry_at, self._until)

    async def backoff(self) -> None:
        """Wait until the server may be connected again: longer with each failure, at most 5 s, with jitter."""
        await anyio.sleep(max(0.0, self._retry_at - clock.now()))
