"""Calls that nobody waits for any more, and that the server may be at all the same."""

from __future__ import annotations

import time

_LINGER_SECONDS = 60.0
_MAXIMUM = 1_000


class CancelledCalls:
    """Remembers whose calls they were until the server has replied, at most 60 s and 1,000 of them.

    Not every server hears a cancellation, and what it asks about such a call is not for the next caller to answer.
    """

    def __init__(self) -> None:
        self._calls: dict[int, tuple[float, str | None]] = {}

    def add(self, request_id: int, owner: str | None) -> None:
        """The call of `owner`, None for nobody's, was given up."""
        self._forget_old()
        if len(self._calls) >= _MAXIMUM:
            del self._calls[next(iter(self._calls))]
        self._calls[request_id] = (time.monotonic() + _LINGER_SECONDS, owner)

    def remove(self, request_id: int) -> None:
        """The server is done with the call."""
        self._calls.pop(request_id, None)

    def all_owned_by(self, owner: str | None) -> bool:
        """Whether the server can be at no other abandoned calls than those of `owner`."""
        self._forget_old()
        return all(whose == owner for _, whose in self._calls.values())

    def _forget_old(self) -> None:
        now = time.monotonic()
        while self._calls:
            oldest = next(iter(self._calls))
            if self._calls[oldest][0] > now:
                return
            del self._calls[oldest]
