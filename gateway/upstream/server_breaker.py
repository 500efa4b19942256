"""Leaving a failing server alone for a while, and connecting to it less and less often."""

from __future__ import annotations

import time

import anyio

from gateway.backoff import Backoff
from gateway.circuit_breaker import CircuitBreaker
from gateway.errors import UpstreamUnavailableError

_RECONNECT = Backoff(first_seconds=0.1, longest_seconds=5.0)


class ServerBreaker:
    """The circuit breaker of one server. After `max_failures` in a row nobody may try for `pause_seconds`; then one
    caller at a time may, until one succeeds.
    """

    def __init__(self, server: str, max_failures: int, pause_seconds: float) -> None:
        self._server = server
        self._circuit = CircuitBreaker(max_failures, pause_seconds)
        self._last_error = ""
        self._reconnect_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the server is left alone now."""
        return self._circuit.is_open

    def admit(self) -> bool:
        """Let a caller try. Returns whether it is the one who tries for all, and then has to call `end_probe`.

        Raises UpstreamUnavailableError while the server is left alone.
        """
        if self._circuit.is_closed:
            return False
        if self._circuit.begin_probe():
            return True
        left = self._circuit.seconds_left
        wait = f"for {max(1, round(left))} s more" if left > 0 else "until one more try has succeeded"
        raise UpstreamUnavailableError(
            self._server,
            f"Server {self._server} failed {self._circuit.failures} times in a row and is left alone {wait}; "
            f"try again then. The last failure was: {self._last_error}",
        )

    def end_probe(self) -> None:
        """The caller who tried for all is done, with or without an outcome."""
        self._circuit.end_probe()

    def record_success(self) -> None:
        """The server answered."""
        self._circuit.record_success()
        self._reconnect_at = 0.0

    def record_failure(self, error: Exception) -> None:
        """The server could not be reached, ended, or did not answer in time."""
        self._circuit.record_failure()
        self._last_error = str(error)
        delay = _RECONNECT.delay(self._circuit.failures)
        # The pause is longer than any delay, unless it was configured to be short.
        if not self._circuit.is_closed:
            delay = min(delay, self._circuit.seconds_left)
        self._reconnect_at = time.monotonic() + delay

    async def wait_to_reconnect(self) -> None:
        """Return once the server may be connected again: later with each failure, by at most 5 s."""
        await anyio.sleep(max(0.0, self._reconnect_at - time.monotonic()))
