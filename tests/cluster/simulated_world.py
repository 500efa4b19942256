"""A database and a network as processes of a cluster see them, with faults and with delays by chance."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from gateway.cluster.links.channel import MAX_FRAME_BYTES, Accept, Channel
from gateway.cluster.member import Member
from gateway.cluster.store import SILENT_SECONDS, ClusterSession, MemberState
from gateway.errors import ClusterKeyError, DatabaseUnavailableError, LinkLostError

_CONNECT_SECONDS = 2.0
# How long a process waits for the database, and after how long the database finds out that nobody is there.
_STATEMENT_SECONDS = 5.0
_KEEPALIVE_SECONDS = 120.0


@dataclass(eq=False)
class Host:
    """What a process runs on: dead for good, frozen for a while, or cut off from the database; where the network drops
    what is sent to that, it is waited for, and the database takes the connection for open.
    """

    address: str
    is_dead: bool = False
    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    reaches_database: bool = True
    drops_packets: bool = False
    accept: Accept | None = None
    unsent: list[tuple[_Pipe, bytes]] = field(default_factory=list)

    def thaw(self) -> None:
        """Go on where it was frozen."""
        self.thawed.set()
        unsent, self.unsent = self.unsent, []
        for pipe, frame in unsent:
            pipe.put(frame)

    async def run(self) -> None:
        """Go on, as soon as the host is not frozen. Raises asyncio.CancelledError on a dead one."""
        await self.thawed.wait()


@dataclass(eq=False)
class _Row:
    member: Member
    key_ids: tuple[str, ...]
    seen_at: float


class SimulatedDatabase:
    """Rows, locks that end with their connection, and notices, as PostgreSQL has them."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.is_up = True
        self.rows: dict[str, _Row] = {}
        self.owners: dict[tuple[int, int], str] = {}
        self.locks: dict[str, SimulatedSession] = {}
        self.leader: SimulatedSession | None = None
        self.sessions: dict[SimulatedSession, None] = {}

    def notify(self) -> None:
        loop = asyncio.get_running_loop()
        for session in list(self.sessions):
            loop.call_later(self.chance.uniform(0, 0.05), session.on_change)

    def end(self, session: SimulatedSession) -> None:
        """The connection is gone, as the database sees it."""
        self.sessions.pop(session, None)
        self.locks = {name: holder for name, holder in self.locks.items() if holder is not session}
        if self.leader is session:
            self.leader = None
        session.is_open = False
        session.on_change()

    def end_all(self) -> None:
        """It is restarted, or fails over to another machine."""
        for session in list(self.sessions):
            self.end(session)

    def delete(self, member_id: str) -> None:
        self.rows.pop(member_id, None)
        self.owners = {server: owner for server, owner in self.owners.items() if owner != member_id}


class SimulatedStore:
    """The database as one process reaches it."""

    def __init__(self, database: SimulatedDatabase, host: Host) -> None:
        self._database = database
        self._host = host

    @contextlib.asynccontextmanager
    async def session(self, on_change: Callable[[], None]) -> AsyncIterator[ClusterSession]:
        session = SimulatedSession(self._database, self._host, on_change)
        await session.pause()
        self._database.sessions[session] = None
        session.is_open = True
        try:
            yield session
        finally:
            if self._host.reaches_database or not self._host.drops_packets:
                self._database.end(session)
            else:
                asyncio.get_running_loop().call_later(_KEEPALIVE_SECONDS, self._database.end, session)

    async def claim_server(self, tenant_id: int, server_id: int, member_id: str) -> str | None:
        database = self._database
        await pause(database, self._host)
        staying = [row.member.id for row in database.rows.values() if not row.member.leaving]
        owner = database.owners.get((tenant_id, server_id))
        if owner is None and staying:
            counts = {each: sum(owner == each for owner in database.owners.values()) for each in staying}
            owner = min(staying, key=lambda each: (counts[each], each != member_id, each))
            database.owners[tenant_id, server_id] = owner
        await pause(database, self._host)
        return owner


async def pause(database: SimulatedDatabase, host: Host) -> None:
    """A way to the database, or back: by then it may be down, and the host frozen, dead or cut off."""
    await asyncio.sleep(database.chance.uniform(0, 0.01))
    await host.run()
    if host.is_dead or not database.is_up or not host.reaches_database:
        if host.drops_packets:
            await asyncio.sleep(_STATEMENT_SECONDS)
        raise DatabaseUnavailableError


class SimulatedSession:
    def __init__(self, database: SimulatedDatabase, host: Host, on_change: Callable[[], None]) -> None:
        self._database = database
        self._host = host
        self.on_change = on_change
        self.is_open = True

    async def pause(self) -> None:
        await pause(self._database, self._host)
        if not self.is_open:
            raise DatabaseUnavailableError

    async def join(self, member: Member, key_ids: Sequence[str]) -> None:
        await self.pause()
        for row in self._database.rows.values():
            if row.member.id in self._database.locks and not set(row.key_ids) & set(key_ids):
                raise ClusterKeyError(row.member.address)
        self._database.rows[member.id] = _Row(member, tuple(key_ids), asyncio.get_running_loop().time())
        self._database.locks[member.id] = self
        self._database.notify()
        await self.pause()

    async def beat(self, member_id: str, key_ids: Sequence[str]) -> Sequence[MemberState] | None:
        await self.pause()
        database, now = self._database, asyncio.get_running_loop().time()
        if member_id not in database.rows:
            return None
        database.rows[member_id].seen_at = now
        database.rows[member_id].key_ids = tuple(key_ids)
        former = database.locks.setdefault(member_id, self)
        if former is not self:
            database.end(former)
        states = [
            MemberState(
                row.member,
                row.member.id in database.locks,
                now - row.seen_at,
                database.leader is not None and database.locks.get(row.member.id) is database.leader,
            )
            for row in database.rows.values()
        ]
        await self.pause()
        return states

    async def try_lead(self) -> bool:
        await self.pause()
        database, now = self._database, asyncio.get_running_loop().time()
        if database.leader is None:
            database.leader = self
        leads = database.leader is self
        speaks = any(
            database.locks.get(row.member.id) is database.leader and now - row.seen_at <= SILENT_SECONDS
            for row in database.rows.values()
        )
        if not leads and not speaks:
            database.end(database.leader)
        await self.pause()
        return leads

    async def stop_leading(self) -> None:
        await self.pause()
        if self._database.leader is self:
            self._database.leader = None

    async def reap(self, member_id: str) -> bool:
        await self.pause()
        database = self._database
        row = database.rows.get(member_id)
        silent = row is not None and asyncio.get_running_loop().time() - row.seen_at > SILENT_SECONDS
        if row is None or (member_id in database.locks and not silent):
            return False
        database.delete(member_id)
        if member_id in database.locks:
            database.end(database.locks[member_id])
        database.notify()
        await self.pause()
        return True

    async def leave(self, member_id: str) -> None:
        await self.pause()
        row = self._database.rows.get(member_id)
        if row is not None:
            row.member = Member(member_id, row.member.address, leaving=True)
        owners = self._database.owners
        self._database.owners = {server: owner for server, owner in owners.items() if owner != member_id}
        self._database.notify()
        await self.pause()

    async def remove(self, member_id: str) -> None:
        await self.pause()
        self._database.delete(member_id)
        self._database.notify()


class _Pipe:
    """One direction of a connection: frames arrive in order, each after a while."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._last_at = 0.0

    def put(self, frame: bytes | None) -> None:
        loop = asyncio.get_running_loop()
        # What is due at one time comes in any order.
        self._last_at = max(self._last_at + 1e-6, loop.time() + self._chance.uniform(0, 0.02))
        loop.call_at(self._last_at, self._frames.put_nowait, frame)

    async def get(self) -> bytes | None:
        return await self._frames.get()


class SimulatedChannel:
    def __init__(self, host: Host, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._host = host
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False

    async def send(self, frame: bytes) -> None:
        if self._closed or self._host.is_dead:
            raise LinkLostError
        if self._host.thawed.is_set():
            self._outgoing.put(frame)
        else:
            self._host.unsent.append((self._outgoing, frame))

    async def receive(self, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
        frame = None if self._closed else await self._incoming.get()
        await self._host.run()
        if frame is None or len(frame) > max_bytes or self._host.is_dead:
            self._closed = True
            raise LinkLostError
        return frame

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._outgoing.put(None)
            self._incoming.put(None)


class SimulatedNetwork:
    """Between hosts; two of them may not reach each other."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.hosts: dict[str, Host] = {}
        self.broken: set[frozenset[str]] = set()
        self._open: list[tuple[frozenset[str], SimulatedChannel, SimulatedChannel]] = []
        self._serving: set[asyncio.Task[None]] = set()

    def connector(self, host: Host) -> Callable[[str], asyncio.Future[Channel]]:
        async def connect(address: str) -> Channel:
            await asyncio.sleep(self._chance.uniform(0, 0.01))
            await host.run()
            other = self.hosts.get(address)
            if frozenset((host.address, address)) in self.broken:
                await asyncio.sleep(_CONNECT_SECONDS)
                raise LinkLostError
            if other is None or other.is_dead or host.is_dead or other.accept is None:
                raise LinkLostError
            there, back = _Pipe(self._chance), _Pipe(self._chance)
            ours, theirs = SimulatedChannel(host, back, there), SimulatedChannel(other, there, back)
            self._open.append((frozenset((host.address, address)), ours, theirs))
            task = asyncio.ensure_future(other.accept(theirs))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            return ours

        return lambda address: asyncio.ensure_future(connect(address))

    def cut(self, *addresses: str) -> None:
        """End every connection of a host, or between two."""
        for between, ours, theirs in self._open:
            if between >= set(addresses):
                ours.close()
                theirs.close()
        self._open = [each for each in self._open if not each[0] >= set(addresses)]
