"""How many texts may be embedded in the background."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# What was not made use of for longer than that is not made up for.
_SAVED_SECONDS = 10.0


class FillRate:
    """Lets so many texts a minute through, evenly."""

    def __init__(self, texts_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Of 0 any number may pass. `clock` gives seconds."""
        self._per_second = texts_per_minute / 60
        self._clock = clock
        self._room = 0.0
        self._at = clock()

    def available(self) -> float:
        """How many texts may be embedded now."""
        if not self._per_second:
            return math.inf
        now = self._clock()
        # One tool at a time has to fit in, however low the rate is.
        most = max(self._per_second * _SAVED_SECONDS, 2.0)
        self._room = min(self._room + (now - self._at) * self._per_second, most)
        self._at = now
        return self._room

    def spend(self, texts: int) -> None:
        """So many were embedded."""
        if self._per_second:
            self._room -= texts
