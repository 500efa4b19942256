"""What each key uses, counted for all processes together."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import deque
from collections.abc import Callable

import anyio

from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.cluster.member import Member
from gateway.cluster.membership import Membership
from gateway.errors import LinkFailedError, LinkLostError
from gateway.json_codec import Message
from gateway.task_set import TaskSet

_MINUTE = 60.0
_SERVICE = "counts"
_ALONE = ""
# A member that counts takes a moment; one that has no answer by then stops nobody.
_ASK_SECONDS = 0.5


class KeyCounts:
    """Requests of the last minute and calls under way of each key, by the member that they were made at."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._requests: dict[int, dict[str, deque[float]]] = {}
        self._calls: dict[int, dict[str, int]] = {}

    def count_request(self, key_id: int, limit: int, member_id: str = _ALONE) -> float | None:
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
            return latest[-limit] + _MINUTE - now
        of_members.setdefault(member_id, deque()).append(now)
        return None

    def ages(self, key_id: int, member_id: str) -> list[float]:
        """How many seconds ago the requests of the last minute were that a member has made, oldest first."""
        now = self._clock()
        times = self._requests.get(key_id, {}).get(member_id, deque())
        _drop_old(times, now)
        return [now - at for at in times]

    def replace_requests(self, key_id: int, member_id: str, ages: list[float]) -> None:
        """Take over what a member says it has made, from whoever counted that before."""
        now = self._clock()
        self._requests.setdefault(key_id, {})[member_id] = deque(now - age for age in ages)

    def begin_call(self, key_id: int, limit: int, member_id: str = _ALONE, under_way: int | None = None) -> bool:
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

    def calls(self, key_id: int, member_id: str = _ALONE) -> int:
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


class SharedKeyCounts:
    """Each key is counted by one member, which its id chooses among those that are there; in the cluster of one that is
    this one.

    When members come and go another one may be chosen. It learns from each of the others, with its first request, what
    that has made in the last minute and has under way.
    """

    def __init__(
        self,
        membership: Membership | None = None,
        hop: Hop | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without `membership` and `hop` there are no other processes; `clock` gives seconds."""
        self._membership = membership
        self._hop = hop
        # Those that this member keeps for all, and what it has made itself.
        self._kept = KeyCounts(clock)
        self._own = KeyCounts(clock)
        self._told: dict[int, str] = {}
        self._ending = TaskSet()
        if hop is not None:
            hop.services[_SERVICE] = self._serve
            hop.subscribe_left(self._kept.forget_calls_of)

    async def count_request(self, key_id: int, limit: int) -> float | None:
        """Count a request; as `KeyCounts.count_request`."""
        keeper = self._keeper(key_id)
        if keeper is None:
            return self._kept.count_request(key_id, limit, self._own_id)
        head: Message = {"act": "request", "key": key_id, "limit": limit}
        if self._told.get(key_id) != keeper.id:
            head["ages"] = self._own.ages(key_id, _ALONE)
        wait = await self._ask(keeper, head)
        if wait is not None:
            self._told[key_id] = keeper.id
            if wait["seconds"] is not None:
                return float(wait["seconds"])
        # One that cannot be asked stops nobody: what this process lets through is still counted here.
        return self._own.count_request(key_id, limit)

    async def begin_call(self, key_id: int, limit: int) -> bool:
        """Count a call; False where as many are under way as may be. `end_call` has to follow where it is True."""
        keeper = self._keeper(key_id)
        under_way = self._own.calls(key_id)
        if keeper is None:
            admitted = self._kept.begin_call(key_id, limit, self._own_id, under_way)
            if admitted:
                self._own.set_calls(key_id, _ALONE, under_way + 1)
            return admitted
        # Counted before it is answered, so that two at the same time are two.
        self._own.set_calls(key_id, _ALONE, under_way + 1)
        admitted = False
        try:
            head = {"act": "begin", "key": key_id, "limit": limit, "under_way": under_way}
            answer = await self._ask(keeper, head)
            admitted = under_way < limit if answer is None else bool(answer["admitted"])
            return admitted
        finally:
            if not admitted:
                self._own.set_calls(key_id, _ALONE, self._own.calls(key_id) - 1)

    def end_call(self, key_id: int) -> None:
        """A call is over."""
        left = self._own.calls(key_id) - 1
        self._own.set_calls(key_id, _ALONE, left)
        keeper = self._keeper(key_id)
        if keeper is None:
            self._kept.set_calls(key_id, self._own_id, left)
        else:
            self._ending.spawn(self._tell_end(keeper, key_id))

    def trim(self) -> None:
        """Forget what no limit asks for any more."""
        self._kept.trim()
        self._own.trim()

    @property
    def _own_id(self) -> str:
        return _ALONE if self._membership is None else self._membership.id

    def _keeper(self, key_id: int) -> Member | None:
        """The other member that counts a key; None where it is this one."""
        membership = self._membership
        if membership is None or not membership.others:
            return None
        staying = [member for member in membership.others.values() if not member.leaving]
        candidates = [*(member.id for member in staying), *([] if membership.is_leaving else [membership.id])]
        if not candidates:
            return None
        # By the highest hash: whoever comes or goes moves no keys but its own.
        chosen = max(candidates, key=lambda member_id: hashlib.sha256(f"{member_id} {key_id}".encode()).digest())
        return membership.others.get(chosen)

    async def _ask(self, keeper: Member, head: Message) -> Message | None:
        """What the member says that counts the key; None where it cannot be asked, or has not answered in 0.5 s."""
        assert self._hop is not None
        with contextlib.suppress(LinkLostError, LinkFailedError), anyio.move_on_after(_ASK_SECONDS):
            link = await self._hop.link(keeper)
            return (await link.ask(_SERVICE, head)).head
        return None

    async def _tell_end(self, keeper: Member, key_id: int) -> None:
        assert self._hop is not None
        # It is told however long that takes: nothing else may say that the last call of this key has ended.
        with contextlib.suppress(LinkLostError, LinkFailedError):
            link = await self._hop.link(keeper)
            await link.ask(_SERVICE, {"act": "end", "key": key_id, "under_way": self._own.calls(key_id)})

    async def _serve(self, stream: LinkStream, first: LinkMessage) -> LinkMessage:
        """Count for another member; without a pause, so that what it says is counted in the order in which it did."""
        head, counts, member_id = first.head, self._kept, stream.peer
        key_id = int(head["key"])
        if head["act"] == "request":
            if "ages" in head:
                counts.replace_requests(key_id, member_id, head["ages"])
            return LinkMessage({"seconds": counts.count_request(key_id, head["limit"], member_id)})
        if head["act"] == "begin":
            return LinkMessage({"admitted": counts.begin_call(key_id, head["limit"], member_id, head["under_way"])})
        counts.set_calls(key_id, member_id, head["under_way"])
        return LinkMessage({})


def _drop_old(times: deque[float], now: float) -> None:
    while times and times[0] <= now - _MINUTE:
        times.popleft()
