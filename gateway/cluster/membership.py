"""Being a member of the cluster, and knowing who else is one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import anyio

from gateway.cluster.member import Member, new_member_id
from gateway.cluster.store import SILENT_SECONDS, ClusterSession, ClusterStore, MemberState
from gateway.errors import ClusterKeyError, DatabaseError

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 1.0
# However many look for members, the database is asked no more often.
_MIN_BEAT_SECONDS = 0.2
_RETRY_SECONDS = 0.5
# Whoever cannot reach a member waits so long for it to be taken for dead, and then says that it cannot be reached.
_CHECK_SECONDS = 3.0
_LEAVE_SECONDS = 2.0
# The database answered a moment ago, and can be expected to.
_FRESH_SECONDS = 3.0
# By then others may take this process for dead, also where the database heard a word whose answer was lost.
_GIVE_UP_SECONDS = SILENT_SECONDS + 3.0


class Membership:
    """Tells the database each second that this process is there, and takes those for dead that are gone.

    A member is taken for dead when it can be reached no more and, for the database, has lost its connection or said
    nothing for 10 s: neither a restart of the database nor a broken network between two members is enough. One member,
    the leader, does what is to be done once; when it ends another one is leader within a second or two.

    A process that finds itself taken for dead, after it was stopped in its tracks, becomes another member: what the
    former one owned is owned by others by then. So does one that has lost the database while others have not.
    """

    def __init__(
        self,
        store: ClusterStore,
        read_key_ids: Callable[[], Sequence[str]],
        address: str,
        is_reachable: Callable[[Member], Awaitable[bool]],
    ) -> None:
        """Others reach this process at `address`."""
        self.id = new_member_id()
        self.address = address
        self.is_leader = False
        self.is_leaving = False
        self.is_rejoining = False
        """Taken for dead, and not a member again yet: what it owned may be owned by others at any moment."""
        self.leader_id: str | None = None
        """Who does what is done once, as far as is known."""
        self._store = store
        self._read_key_ids = read_key_ids
        self._is_reachable = is_reachable
        self._members: dict[str, Member] = {}
        self._suspects: set[str] = set()
        self._wake = asyncio.Event()
        self._cycle = asyncio.Event()
        self._has_joined = asyncio.Event()
        self._left = asyncio.Event()
        self._joined_as = ""
        self._answered_at = float("-inf")
        self._subscribers: list[Callable[[], None]] = []

    @property
    def others(self) -> Mapping[str, Member]:
        """The other members, by id."""
        return self._members

    @property
    def sees_database(self) -> bool:
        """Whether the database has answered within the last three seconds."""
        return asyncio.get_running_loop().time() - self._answered_at < _FRESH_SECONDS

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` when members came or went, when this one has become leader or is it no more, when it leaves,
        and when it has become another member.
        """
        self._subscribers.append(callback)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be a member until the block ends. Raises ClusterKeyError, and DatabaseError where the first try fails."""
        task = asyncio.create_task(self._stay())
        joined = asyncio.create_task(self._has_joined.wait())
        try:
            await asyncio.wait((task, joined), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield
        finally:
            joined.cancel()
            self._left.set()
            self._wake.set()
            # It removes itself, so that nobody looks for it; a database that is down must not hold it up.
            await asyncio.wait((task,), timeout=_LEAVE_SECONDS)
            task.cancel()
            await asyncio.gather(task, joined, return_exceptions=True)

    async def leave(self) -> None:
        """Take over nothing new; returns when others may, or after 2 s."""
        if not self._members:
            # Nobody else is there to take anything over.
            return
        self.is_leaving = True
        self._tell()
        with anyio.move_on_after(_LEAVE_SECONDS):
            await self._next_cycle()

    def give_up(self) -> bool:
        """Another member, which sees the database, needs what this one owns and cannot serve without it. Returns
        whether that is for others now: where the database has been out of sight for so long that they may take this
        process for dead, it does so itself, and is another member when it is back.
        """
        lost_for = asyncio.get_running_loop().time() - self._answered_at
        if not self.is_rejoining and lost_for > _GIVE_UP_SECONDS:
            self._become_another("has lost the database, which others have")
        return self.is_rejoining

    async def find(self, member_id: str) -> Member | None:
        """The other member with this id, None where there is none; one that has come just now is looked for."""
        if member_id not in self._members and member_id != self.id:
            with anyio.move_on_after(_BEAT_SECONDS):
                await self._next_cycle()
        return self._members.get(member_id)

    async def check_gone(self, member_id: str) -> bool:
        """Whether a member that could not be reached is gone; waits at most 3 s for that to be known."""
        deadline = asyncio.get_running_loop().time() + _CHECK_SECONDS
        while member_id in self._members and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._suspects.add(member_id)
            with anyio.move_on_after(left):
                await self._next_cycle()
            if member_id in self._members and member_id not in self._suspects:
                # It was looked at, and is there.
                await asyncio.sleep(min(0.1, max(0.0, left)))
        return member_id not in self._members

    async def _next_cycle(self) -> None:
        cycle = self._cycle
        self._wake.set()
        await cycle.wait()

    async def _stay(self) -> None:
        is_refused = False
        while not self._left.is_set():
            try:
                async with self._store.session(self._wake.set) as session:
                    if self._joined_as != self.id:
                        await self._join(session)
                        is_refused = False
                    await self._beat(session)
                    if self._left.is_set():
                        await session.remove(self._joined_as)
                        return
                    if self._joined_as == self.id:
                        self._become_another("was taken for dead")
            except ClusterKeyError as error:
                if not self._has_joined.is_set():
                    raise
                # Whoever has the other key may end, or this process get the same.
                logger.log(logging.INFO if is_refused else logging.WARNING, "This process is no member: %s", error)
                is_refused = True
            except DatabaseError as error:
                if not self._has_joined.is_set():
                    raise
                logger.info("The cluster is out of sight for the moment: %s", error)
            finally:
                self._set_leader(False)
            with anyio.move_on_after(_RETRY_SECONDS):
                await self._left.wait()

    async def _join(self, session: ClusterSession) -> None:
        if self._joined_as:
            # Where nobody has taken it for dead but this process itself.
            await session.remove(self._joined_as)
            self._joined_as = ""
        joining_as = self.id
        await session.join(Member(joining_as, self.address), self._read_key_ids())
        self._joined_as = joining_as
        self._answered_at = asyncio.get_running_loop().time()
        self.is_rejoining = False

    async def _beat(self, session: ClusterSession) -> None:
        """Returns when this process has stopped, or was taken for dead."""
        has_left = False
        own_id = self.id
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            began_at = loop.time()
            states = await session.beat(own_id, self._read_key_ids())
            if states is None or own_id != self.id:
                return
            self._answered_at = loop.time()
            self._see(states)
            await self._lead(session)
            if self.is_leaving and not has_left:
                await session.leave(self.id)
                has_left = True
            await self._reap(session, states)
            self._has_joined.set()
            cycle, self._cycle = self._cycle, asyncio.Event()
            cycle.set()
            if self._left.is_set():
                return
            with anyio.move_on_after(_BEAT_SECONDS):
                await self._wake.wait()
            with anyio.move_on_after(began_at + _MIN_BEAT_SECONDS - loop.time()):
                await self._left.wait()

    def _see(self, states: Sequence[MemberState]) -> None:
        self.leader_id = next((state.member.id for state in states if state.leads), None)
        members = {state.member.id: state.member for state in states if state.member.id != self.id}
        if members != self._members:
            self._members = members
            self._tell()

    async def _lead(self, session: ClusterSession) -> None:
        if self.is_leaving or self._left.is_set():
            if self.is_leader:
                self._set_leader(False)
                await session.stop_leading()
        elif not self.is_leader and await session.try_lead():
            self._set_leader(True)

    async def _reap(self, session: ClusterSession, states: Sequence[MemberState]) -> None:
        suspects, self._suspects = self._suspects, set()
        doubtful = [
            state.member
            for state in states
            if state.member.id != self.id and (state.may_be_dead or state.member.id in suspects)
        ]
        # At the same time: beats must not wait for one member after the other that does not answer.
        reachable = await asyncio.gather(*(self._is_reachable(member) for member in doubtful))
        for member, is_reachable in zip(doubtful, reachable, strict=True):
            if not is_reachable and await session.reap(member.id):
                logger.warning("Process %s at %s is gone; others take over what it owned.", member.id, member.address)
                self._members = {each: other for each, other in self._members.items() if each != member.id}
                self._tell()

    def _become_another(self, reason: str) -> None:
        logger.warning("This process %s, and is now another member than %s.", reason, self.id)
        self.id = new_member_id()
        self.is_rejoining = True
        self._tell()

    def _set_leader(self, is_leader: bool) -> None:
        if self.is_leader != is_leader:
            self.is_leader = is_leader
            self._tell()

    def _tell(self) -> None:
        for callback in self._subscribers:
            callback()
