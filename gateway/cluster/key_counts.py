"""What each key uses, by the process that it is used at."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_MINUTE = 60.0
OWN = ""
"""This process, whatever its id as a member."""


class KeyCounts:
    """Requests of the last minute and calls under way of each key, by the member that they were made at."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._requests: dict[int, dict[str, deque[float]]] = {}
        self._calls: dict[int, dict[str, int]] = {}

    def count_request(self, key_id: int, limit: int, member_id: str = OWN) -> float | None:
        """Count a request, of which a minute may see `limit`; None where it is admitted, else in how many seconds one
        will be.
        """
        now = self._clock()
        of_members = self._requests.setdefault(key_id, {})
        for member, times in list(of_members.items()):
            _drop_old(times, now)
            if not times and member != member_id:
                del of_members[member]
        if sum(map(len, of_members.values())) >= limit:
            latest = sorted(at for times in of_members.values() for at in times)
            return (latest[-limit] if latest else now) + _MINUTE - now
        of_members.setdefault(member_id, deque()).append(now)
        return None

    def add_request(self, key_id: int) -> None:
        """This process has let a request through that another member has counted."""
        self._requests.setdefault(key_id, {}).setdefault(OWN, deque()).append(self._clock())

    def ages(self, key_id: int, member_id: str = OWN) -> list[float]:
        """How many seconds ago the requests of the last minute were that a member has made, oldest first."""
        now = self._clock()
        times = self._requests.get(key_id, {}).get(member_id, deque())
        _drop_old(times, now)
        return [now - at for at in times]

    def replace_requests(self, key_id: int, member_id: str, ages: list[float]) -> None:
        """Take over what a member says it has made, from whoever counted that before."""
        now = self._clock()
        self._requests.setdefault(key_id, {})[member_id] = deque(now - age for age in ages)

    def key_ids(self) -> set[int]:
        """The keys of which anything is counted."""
        return {*self._requests, *self._calls}

    def member_ids(self) -> set[str]:
        """The other members of which requests are counted."""
        return {member_id for of_members in self._requests.values() for member_id in of_members} - {OWN}

    def forget_requests(self, key_id: int, member_id: str = OWN) -> list[float]:
        """Count the requests of a member no more; returns when they were made."""
        return list(self._requests.get(key_id, {}).pop(member_id, ()))

    def adopt_requests(self, key_id: int, member_id: str) -> None:
        """Count the requests of a member that is gone as this process's own: nobody else will tell of them."""
        times = self.forget_requests(key_id, member_id)
        if times:
            of_members = self._requests[key_id]
            of_members[OWN] = deque(sorted([*of_members.get(OWN, ()), *times]))

    def begin_call(self, key_id: int, limit: int, member_id: str = OWN, under_way: int | None = None) -> bool:
        """Count a call of which `limit` may be under way; False where there are so many. The member has `under_way`
        others; None: as many as are known.
        """
        of_members = self._calls.setdefault(key_id, {})
        if under_way is not None:
            of_members[member_id] = under_way
        if sum(of_members.values()) >= limit:
            return False
        of_members[member_id] = of_members.get(member_id, 0) + 1
        return True

    def set_calls(self, key_id: int, member_id: str, under_way: int) -> None:
        """A member has so many calls under way."""
        of_members = self._calls.setdefault(key_id, {})
        of_members[member_id] = under_way
        if not under_way:
            del of_members[member_id]
        if not of_members:
            del self._calls[key_id]

    def calls(self, key_id: int, member_id: str = OWN) -> int:
        """How many calls a member has under way."""
        return self._calls.get(key_id, {}).get(member_id, 0)

    def forget_calls_of(self, member_id: str) -> None:
        """A member is gone, and its calls with it; what it has asked for in the last minute was asked for."""
        for key_id in [key_id for key_id, of_members in self._calls.items() if member_id in of_members]:
            self.set_calls(key_id, member_id, 0)

    def trim(self) -> None:
        """Forget what no limit asks for any more."""
        past = self._clock() - _MINUTE
        for key_id, of_members in list(self._requests.items()):
            if all(not times or times[-1] <= past for times in of_members.values()):
                del self._requests[key_id]


def _drop_old(times: deque[float], now: float) -> None:
    while times and times[0] <= now - _MINUTE:
        times.popleft()
