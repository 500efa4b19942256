"""For how long the cluster has been without what the catalogue is known to have."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from cachetools import LRUCache

_MAX_PLACES = 10_000


class CatalogueLag:
    """What a search waits for: of each place a number that the catalogue has reached, and since when that is known.

    It is kept until the cluster has reached it, so that a catalogue that changes without a pause is not taken for one
    that nobody follows.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._awaited: LRUCache[Hashable, tuple[int, float]] = LRUCache(_MAX_PLACES)

    def seconds(self, place: Hashable, wanted: int, there: int) -> float:
        """For how long the cluster has not reached what the catalogue had at some time; 0 where it has.

        `wanted` is how far the catalogue is now, `there` how far the cluster is.
        """
        now = self._clock()
        awaited, since = self._awaited.get(place, (wanted, now))
        # What was taken out, or a backup that was restored, is waited for by nobody.
        awaited = min(awaited, wanted)
        if there >= awaited:
            awaited, since = wanted, now
        self._awaited[place] = (awaited, since)
        return now - since if there < awaited else 0.0
