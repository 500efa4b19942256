"""What each key uses, counted for all processes together."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable

import anyio

from gateway.cluster.key_counts import OWN, KeyCounts
from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.cluster.member import Member
from gateway.cluster.membership import Membership
from gateway.errors import LinkFailedError, LinkLostError
from gateway.json_codec import Message
from gateway.task_set import TaskSet

_SERVICE = "counts"
# A member that counts takes a moment; one that has no answer by then stops nobody.
_ASK_SECONDS = 0.5


class SharedKeyCounts:
    """Each key is counted by one member, which its id chooses among those that are there; in the cluster of one that is
    this one.

    When members come and go another one may be chosen. It learns from each of the others, at once and at the latest
    with its next request, what that has let through in the last minute and has under way. What a member that is gone
    has let through was told to whoever counted it, who tells it on.
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
        self._counts = KeyCounts(clock)
        # By key the other member that knows what this process has let through.
        self._told: dict[int, str] = {}
        self._telling = TaskSet()
        if membership is not None and hop is not None:
            self._known_as = membership.id
            self._candidates = _candidates(membership)
            membership.subscribe(self._on_membership)
            hop.services[_SERVICE] = self._serve
            hop.subscribe_left(self._counts.forget_calls_of)

    async def count_request(self, key_id: int, limit: int) -> float | None:
        """Count a request; as `KeyCounts.count_request`."""
        keeper = self._keeper(key_id)
        if keeper is None:
            return self._counts.count_request(key_id, limit)
        answer = await self._ask_to_count(keeper, key_id, limit)
        if answer is None:
            # One that cannot be asked stops nobody: what this process lets through is still counted here.
            return self._counts.count_request(key_id, limit)
        if answer["seconds"] is not None:
            return float(answer["seconds"])
        self._counts.add_request(key_id)
        return None

    async def begin_call(self, key_id: int, limit: int) -> bool:
        """Count a call; False where as many are under way as may be. `end_call` has to follow where it is True."""
        keeper = self._keeper(key_id)
        if keeper is None:
            return self._counts.begin_call(key_id, limit)
        under_way = self._counts.calls(key_id)
        # Counted before it is answered, so that two at the same time are two.
        self._counts.set_calls(key_id, OWN, under_way + 1)
        admitted = False
        try:
            head = {"act": "begin", "key": key_id, "limit": limit, "under_way": under_way}
            answer = await self._ask(keeper, head)
            admitted = under_way < limit if answer is None else bool(answer["admitted"])
            return admitted
        finally:
            if not admitted:
                self._counts.set_calls(key_id, OWN, self._counts.calls(key_id) - 1)

    def end_call(self, key_id: int) -> None:
        """A call is over."""
        self._counts.set_calls(key_id, OWN, self._counts.calls(key_id) - 1)
        keeper = self._keeper(key_id)
        if keeper is not None:
            self._telling.spawn(self._tell_calls(keeper, key_id))

    def trim(self) -> None:
        """Forget what no limit asks for any more."""
        self._counts.trim()
        left = self._counts.key_ids()
        self._told = {key_id: keeper_id for key_id, keeper_id in self._told.items() if key_id in left}

    def _keeper(self, key_id: int) -> Member | None:
        """The other member that counts a key; None where it is this one."""
        membership = self._membership
        if membership is None or not membership.others:
            return None
        return membership.others.get(_choose(_candidates(membership), key_id))

    def _is_kept_by(self, key_id: int, member_id: str) -> bool:
        keeper = self._keeper(key_id)
        return keeper is not None and keeper.id == member_id

    async def _ask_to_count(self, keeper: Member, key_id: int, limit: int) -> Message | None:
        """Have the keeper count a request, and know of the others that there were; None as in `_ask`."""
        head: Message = {"act": "request", "key": key_id, "limit": limit}
        if self._told.get(key_id) != keeper.id:
            head["ages"] = self._counts.ages(key_id)
            # Of two requests at the same time the second must not take the first one back.
            self._told[key_id] = keeper.id
        answer = await self._ask(keeper, head)
        if answer is None:
            self._told.pop(key_id, None)
        return answer

    async def _ask(self, keeper: Member, head: Message) -> Message | None:
        """What the member says that counts the key; None where it cannot be asked, or has not answered in 0.5 s."""
        assert self._hop is not None
        with contextlib.suppress(LinkLostError, LinkFailedError), anyio.move_on_after(_ASK_SECONDS):
            link = await self._hop.link(keeper)
            return (await link.ask(_SERVICE, head)).head
        return None

    async def _tell_calls(self, keeper: Member, key_id: int) -> None:
        assert self._hop is not None
        # It is told however long that takes: nothing else may say that the last call of this key has ended.
        with contextlib.suppress(LinkLostError, LinkFailedError):
            link = await self._hop.link(keeper)
            await link.ask(_SERVICE, {"act": "end", "key": key_id, "under_way": self._counts.calls(key_id)})

    def _on_membership(self) -> None:
        """Count for those that are gone, where they told this process, and tell those that count from now on."""
        membership, counts = self._membership, self._counts
        assert membership is not None
        former, self._candidates = self._candidates, _candidates(membership)
        for member_id in counts.member_ids() - set(membership.others):
            for key_id in counts.key_ids():
                # It told this process when it left, which may be heard of only when it is gone.
                if self._known_as == _choose(former, key_id) or membership.id == _choose(self._candidates, key_id):
                    counts.adopt_requests(key_id, member_id)
                else:
                    counts.forget_requests(key_id, member_id)
        if self._known_as != membership.id:
            # What it told as the member that it was is counted for that one.
            self._known_as = membership.id
            for key_id in self._told:
                counts.forget_requests(key_id)
            self._told.clear()
        # Who counts a key again, after another has, does not know of what was let through meanwhile.
        self._told = {key_id: told for key_id, told in self._told.items() if self._is_kept_by(key_id, told)}
        self._telling.spawn(self._tell_keepers(counts.key_ids()))

    async def _tell_keepers(self, key_ids: Iterable[int]) -> None:
        """Tell those that count these keys what this process has let through, where they do not know."""
        unreached: set[str] = set()
        for key_id in key_ids:
            keeper = self._keeper(key_id)
            if keeper is None or keeper.id in unreached or self._told.get(key_id) == keeper.id:
                continue
            # A minute that may see none: this is no request, which the version before understands, too.
            if self._counts.ages(key_id) and await self._ask_to_count(keeper, key_id, 0) is None:
                unreached.add(keeper.id)
            elif self._counts.calls(key_id):
                await self._tell_calls(keeper, key_id)

    async def _serve(self, stream: LinkStream, first: LinkMessage) -> LinkMessage:
        """Count for another member; without a pause, so that what it says is counted in the order in which it did."""
        head, counts, member_id = first.head, self._counts, stream.peer
        key_id = int(head["key"])
        if head["act"] == "request":
            if "ages" in head:
                counts.replace_requests(key_id, member_id, head["ages"])
            return LinkMessage({"seconds": counts.count_request(key_id, head["limit"], member_id)})
        if head["act"] == "begin":
            return LinkMessage({"admitted": counts.begin_call(key_id, head["limit"], member_id, head["under_way"])})
        counts.set_calls(key_id, member_id, head["under_way"])
        return LinkMessage({})


def _candidates(membership: Membership) -> list[str]:
    """The ids of the members that count keys: those that stay, else this one."""
    staying = [member.id for member in membership.others.values() if not member.leaving]
    return staying if membership.is_leaving and staying else [*staying, membership.id]


def _choose(candidates: Iterable[str], key_id: int) -> str:
    """By the highest hash: whoever comes or goes moves no keys but its own."""
    return max(candidates, key=lambda member_id: hashlib.sha256(f"{member_id} {key_id}".encode()).digest())
