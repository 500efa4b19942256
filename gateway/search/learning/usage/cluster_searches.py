"""Which search a call follows, whichever member answered it: each remembers what it answered, and tells who asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType

import anyio
from typing_extensions import Self

from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.cluster.member import Member
from gateway.cluster.membership import Membership
from gateway.errors import LinkFailedError, LinkLostError
from gateway.json_codec import Message
from gateway.search.learning.usage.recent_searches import RecentSearch, RecentSearches, UsedSearch

logger = logging.getLogger(__name__)

_SERVICE = "searches"
_GATHER_SECONDS = 0.5
_BATCH = 500
_MAX_WAITING = 5_000
_ASK_SECONDS = 3.0
_SHUTDOWN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class FollowingCall:
    """A call of a tool by `searcher`, who may have searched for it; `record` is told of the search if there was one."""

    tenant_id: int
    searcher: str
    tool_id: int
    record: Callable[[UsedSearch], None]


@dataclass(slots=True)
class _Open:
    """A call with the last search that is known: one of this member, or what another one says of its own."""

    call: FollowingCall
    here: RecentSearch | None
    elsewhere: UsedSearch | None = None

    @property
    def since(self) -> float:
        """Only a search after that is a later one, in seconds since 1970; 0 where none is known."""
        at = self.elsewhere.at if self.elsewhere else self.here.at if self.here else None
        return at.timestamp() if at else 0.0

    def close(self) -> None:
        """Nobody has a later one."""
        if self.elsewhere is not None:
            self.call.record(self.elsewhere)
        elif self.here is not None:
            self.call.record(self.here.use(self.call.tool_id))


class ClusterSearches:
    """Asks the other members, for many calls at once and beside them. Entered and left in one task.

    While there are no others, and where they cannot be asked, this member's own searches are all that is known.
    """

    def __init__(self, searches: RecentSearches, membership: Membership | None = None, hop: Hop | None = None) -> None:
        """Without `membership` and `hop` there are no other processes."""
        self._searches = searches
        self._membership = membership
        self._hop = hop
        self._waiting: list[_Open] = []
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Members of a version that remembers nothing for others.
        self._unable: set[str] = set()
        if hop is not None:
            hop.services[_SERVICE] = self._serve

    async def __aenter__(self) -> Self:
        if self._hop is not None:
            self._task = asyncio.create_task(self._ask_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=_SHUTDOWN_SECONDS)
            if not done:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def follow(self, call: FollowingCall) -> None:
        """Find out what a call follows; never waits."""
        here = self._searches.latest(call.tenant_id, call.searcher, call.tool_id)
        opened = _Open(call, here)
        if not self._others() or self._stopping.is_set() or len(self._waiting) >= _MAX_WAITING:
            opened.close()
            return
        self._waiting.append(opened)
        self._wake.set()

    def _others(self) -> Sequence[Member]:
        if self._membership is None:
            return ()
        return [member for member in self._membership.others.values() if member.id not in self._unable]

    async def _ask_all(self) -> None:
        while not self._stopping.is_set():
            await self._wake.wait()
            with anyio.move_on_after(_GATHER_SECONDS):
                await self._stopping.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                if not self._stopping.is_set():
                    # All at once: several that do not answer take no longer than one.
                    await asyncio.gather(*(self._ask(member, batch) for member in self._others()))
                for opened in batch:
                    opened.close()

    async def _ask(self, member: Member, batch: Sequence[_Open]) -> None:
        """Take over what `member` knows of later searches."""
        assert self._hop is not None
        calls = [[each.call.tenant_id, each.call.searcher, each.call.tool_id, each.since] for each in batch]
        try:
            with anyio.move_on_after(_ASK_SECONDS):
                link = await self._hop.link(member)
                answer = (await link.ask(_SERVICE, {"calls": calls})).head
                for opened, found in zip(batch, answer["found"], strict=True):
                    # Another one may have told of a later search in the meantime.
                    if found is not None and found["at"] > opened.since:
                        opened.elsewhere = UsedSearch(
                            str(found["query"]),
                            float(found["weight"]),
                            datetime.fromtimestamp(found["at"], timezone.utc),
                        )
        except LinkFailedError:
            self._unable.add(member.id)
        except LinkLostError:
            pass
        except (ValueError, KeyError, TypeError, IndexError):
            logger.warning("What member %s says of searches cannot be read.", member.id)

    async def _serve(self, stream: LinkStream, first: LinkMessage) -> LinkMessage:
        """Which searches of this member the calls at another one follow."""
        found: list[Message | None] = []
        for tenant_id, searcher, tool_id, since in first.head["calls"]:
            search = self._searches.latest(int(tenant_id), str(searcher), int(tool_id))
            if search is None or search.at.timestamp() <= since:
                found.append(None)
                continue
            used = search.use(int(tool_id))
            found.append({"query": used.query, "weight": used.weight, "at": used.at.timestamp()})
        return LinkMessage({"found": found})
