"""How long to wait before the next try, whatever it was that failed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

# Beyond any wait that is worth it, and within what a float holds.
_MAX_DOUBLINGS = 60


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from `first_seconds` up to `longest_seconds`, each shortened at random by up to a half, so
    that those who failed together do not come back together.
    """

    first_seconds: float
    longest_seconds: float

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many `failures` in a row; 0 after none."""
        if failures < 1:
            return 0.0
        full = min(self.longest_seconds, math.ldexp(self.first_seconds, min(failures - 1, _MAX_DOUBLINGS)))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
