"""What the database knows of the cluster: who is there, who does what is done once, who owns which server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import asyncpg

from gateway.cluster.member import Member
from gateway.database.connection import DatabaseConnection
from gateway.database.pool import Database
from gateway.errors import ClusterKeyError, ConflictError

_CHANNEL = "modelgate_cluster"
# Half of what others wait: who leads, and has no answer, has let go of it before another takes it.
_STATEMENT_SECONDS = 5.0
_CLAIMS = 3
SILENT_SECONDS = 10.0
"""A member that cannot be reached is taken for dead when it has told the database nothing for so long."""


@dataclass(frozen=True, slots=True)
class MemberState:
    """A member as the database knows it: whether its connection stands, how long it has said nothing, and whether it
    leads.
    """

    member: Member
    is_connected: bool
    silent_seconds: float
    leads: bool = False

    @property
    def may_be_dead(self) -> bool:
        return not self.is_connected or self.silent_seconds > SILENT_SECONDS


class ClusterSession(Protocol):
    """The connection of one member. Every method raises DatabaseError when it is lost."""

    async def join(self, member: Member, key_ids: Sequence[str]) -> None:
        """Become a member. Raises ClusterKeyError where one that is there has none of these keys."""
        ...

    async def beat(self, member_id: str, key_ids: Sequence[str]) -> Sequence[MemberState] | None:
        """Say that the member is there and has these keys, and hold its lock; a former connection of it that does
        is ended. Returns who is there. None where others have taken it for dead.
        """
        ...

    async def try_lead(self) -> bool:
        """Become the one who does what is done once, where nobody is; one that has said nothing for 10 s is it no more
        in a moment. Not to be asked again by who is.
        """
        ...

    async def stop_leading(self) -> None:
        """Let another one be that."""
        ...

    async def reap(self, member_id: str) -> bool:
        """Take a member for dead, where it `may_be_dead`; returns whether it was."""
        ...

    async def leave(self, member_id: str) -> None:
        """Take over nothing new, and let others have the servers of the member."""
        ...

    async def remove(self, member_id: str) -> None:
        """The member has stopped."""
        ...


class ClusterStore(Protocol):
    """Where all members meet."""

    def session(self, on_change: Callable[[], None]) -> AbstractAsyncContextManager[ClusterSession]:
        """A connection; `on_change` is called when somebody came or went, or it is lost. Raises DatabaseError."""
        ...

    async def claim_server(self, tenant_id: int, server_id: int, member_id: str) -> str | None:
        """Who owns a server, from now on if nobody did; `member_id` asks. None where there is no such server, or
        nobody who could own it. Raises DatabaseError.
        """
        ...


class PostgresClusterStore:
    """The store in PostgreSQL: rows say what is, and locks of connections who lives."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.asynccontextmanager
    async def session(self, on_change: Callable[[], None]) -> AsyncIterator[ClusterSession]:
        async with self._database.dedicated_connection(_STATEMENT_SECONDS) as connection:
            await connection.execute("find_dead_connections_soon")
            await connection.listen(_CHANNEL, on_change)
            yield _PostgresSession(connection)

    async def claim_server(self, tenant_id: int, server_id: int, member_id: str) -> str | None:
        owner: str | None = None
        for _ in range(_CLAIMS):
            # Another one may claim it in the same moment, which the statement cannot see; and who was to have it may
            # stop, or the server be removed.
            with contextlib.suppress(ConflictError):
                owner = await self._database.fetchval("claim_server", tenant_id, server_id, member_id)
            if owner is not None:
                break
        return owner


class _PostgresSession:
    def __init__(self, connection: DatabaseConnection) -> None:
        self._connection = connection

    async def join(self, member: Member, key_ids: Sequence[str]) -> None:
        async with self._connection.transaction():
            await self._connection.execute("lock_joining")
            other = await self._connection.fetchval("member_with_other_key", list(key_ids))
            if other is not None:
                raise ClusterKeyError(other)
            number = await self._connection.fetchval("join_cluster", member.id, member.address, list(key_ids))
            await self._connection.execute("lock_member", number)
            await self._connection.execute("notify_cluster")

    async def beat(self, member_id: str, key_ids: Sequence[str]) -> Sequence[MemberState] | None:
        rows = await self._connection.fetch("beat", member_id, list(key_ids))
        own = next((row for row in rows if row["id"] == member_id), None)
        if own is None:
            return None
        if not own["is_locked_here"] and not await self._connection.fetchval("lock_member", own["number"]):
            await self._connection.execute("end_former_connection", own["number"])
        return [_state(row) for row in rows]

    async def try_lead(self) -> bool:
        return bool(await self._connection.fetchval("try_lead", SILENT_SECONDS))

    async def stop_leading(self) -> None:
        await self._connection.execute("stop_leading")

    async def reap(self, member_id: str) -> bool:
        if not await self._connection.fetchval("reap_member", member_id, SILENT_SECONDS):
            return False
        await self._connection.execute("notify_cluster")
        return True

    async def leave(self, member_id: str) -> None:
        async with self._connection.transaction():
            await self._connection.execute("leave_cluster", member_id)
            await self._connection.execute("release_servers", member_id)
            await self._connection.execute("notify_cluster")

    async def remove(self, member_id: str) -> None:
        await self._connection.execute("remove_member", member_id)
        await self._connection.execute("notify_cluster")


def _state(row: asyncpg.Record) -> MemberState:
    member = Member(row["id"], row["address"], row["leaving"])
    return MemberState(member, row["is_locked"], row["silent_seconds"], row["leads"])
