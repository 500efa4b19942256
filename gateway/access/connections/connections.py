"""Connections: what a person has given or granted for one server, sealed, each bound to its row."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeAlias

import anyio

from gateway.access.connections.resealing import reseal_rows
from gateway.access.persons import Person
from gateway.database.connection import Row
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.errors import DatabaseError, NotFoundError
from gateway.vault import Vault

LOCK_SECONDS = 60.0
"""How long a lock of a connection holds, unless it is given back before."""

_RETRY_SECONDS = 0.1
_SUBJECT_LENGTH = 500

ConnectionKey: TypeAlias = "tuple[int, int, int]"
"""Tenant, person and server."""


def connection_owner(key: ConnectionKey, connection_id: uuid.UUID) -> str:
    """What the secret of a connection is bound to: moved to another row it cannot be opened."""
    tenant_id, person_id, server_id = key
    return f"connection {connection_id} of person {person_id} to server {server_id} of tenant {tenant_id}"


@dataclass(frozen=True, slots=True)
class Connection:
    """What one person has connected at one server. `id` is another with each connect, and stays when it is renewed.

    `secret` is what its kind stores, opened. `subject` is as whom the server knows the person, empty where that is not
    known; `expires_at` None where no end is known.
    """

    tenant_id: int
    person_id: int
    server_id: int
    id: uuid.UUID
    kind: str
    secret: Mapping[str, Any] = field(repr=False)
    subject: str
    scopes: str
    expires_at: datetime | None
    listing_agreed: bool

    @property
    def key(self) -> ConnectionKey:
        return self.tenant_id, self.person_id, self.server_id


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """What people see of a connection; never what is in it."""

    tenant_id: int
    person_id: int
    server_id: int
    id: uuid.UUID
    kind: str
    person_name: str
    issuer: str
    person_subject: str
    server_name: str
    subject: str
    scopes: str
    expires_at: datetime | None
    connected_at: datetime
    last_used_at: datetime | None
    listing_agreed_at: datetime | None


class Connections:
    """The connections of every tenant."""

    def __init__(self, database: Database, vault: Vault, notices: Notices | None = None) -> None:
        self._database = database
        self._vault = vault
        self._known: NotifiedCache[tuple[int, int], Connection | None] = NotifiedCache(
            notices, key_of_person=_known_key
        )
        self._last_used: dict[ConnectionKey, datetime] = {}

    async def get(self, tenant_id: int, person_id: int, server_id: int) -> Connection | None:
        """The connection of a person to a server, None where there is none.

        Its secret may be older than the database's by a renewal in another process. Raises SettingsError for one that
        was sealed for another row, or with a key that is not there.
        """
        return await self._known.get(
            tenant_id, (person_id, server_id), lambda: self._read((tenant_id, person_id, server_id))
        )

    async def connect(
        self,
        person: Person,
        server_id: int,
        kind: str,
        secret: Mapping[str, Any],
        *,
        subject: str = "",
        scopes: str = "",
        expires_at: datetime | None = None,
        listing_agreed: bool = False,
    ) -> Connection:
        """Store what a person has given or granted, in place of what there was; who renews that can no longer save.

        Raises NotFoundError where person or server are gone.
        """
        key, connection_id = (person.tenant_id, person.id, server_id), uuid.uuid4()
        sealed = self._vault.seal(dict(secret), connection_owner(key, connection_id))
        shown = "".join(letter for letter in subject if letter.isprintable())[:_SUBJECT_LENGTH]
        row = await self._database.fetchrow(
            "connect", *key, connection_id, kind, sealed, shown, scopes, expires_at, listing_agreed
        )
        if row is None:
            raise NotFoundError(f"There is no person {person.id} in this tenant any more.")
        return self._opened(row)

    async def disconnect(self, tenant_id: int, person_id: int, server_id: int) -> None:
        """Forget a connection. Raises NotFoundError where there is none."""
        if not await self._database.fetch("disconnect", tenant_id, person_id, server_id, None):
            raise NotFoundError("There is no such connection any more.")

    async def agree_to_listing(self, tenant_id: int, person_id: int, server_id: int, agreed: bool) -> None:
        """Whether the server may be listed for everybody by this connection. Raises NotFoundError."""
        if not await self._database.execute("agree_to_listing", tenant_id, person_id, server_id, agreed):
            raise NotFoundError("There is no such connection any more.")

    async def of_person(self, tenant_id: int, person_id: int) -> list[ConnectionRecord]:
        """All connections of one person, by the server's name."""
        return [_record(row) for row in await self._database.fetch("connections_of_person", tenant_id, person_id)]

    async def page(
        self, tenant_id: int, server_id: int | None, after: tuple[int, int], limit: int
    ) -> list[ConnectionRecord]:
        """Connections of a tenant, or to one of its servers, beyond a person and server."""
        return [
            _record(row) for row in await self._database.fetch("connections_page", tenant_id, server_id, *after, limit)
        ]

    @asynccontextmanager
    async def lock(self, connection: Connection) -> AsyncIterator[LockedConnection]:
        """The connection, which nobody else renews meanwhile, in whatever process; for `LOCK_SECONDS` at most.

        Raises NotFoundError where it has ended, or is another by now.
        """
        holder = uuid.uuid4()
        while not await self._database.fetchval(
            "lock_connection", *connection.key, connection.id, holder, LOCK_SECONDS
        ):
            now = await self._read(connection.key)
            if now is None or now.id != connection.id:
                raise NotFoundError("There is no such connection any more.")
            await anyio.sleep(_RETRY_SECONDS)
        try:
            yield LockedConnection(self, connection, holder)
        finally:
            with anyio.CancelScope(shield=True), suppress(DatabaseError):
                await self._database.execute("unlock_connection", *connection.key, holder)

    def touch(self, connection: Connection) -> None:
        """It is used just now."""
        self._last_used[connection.key] = datetime.now(timezone.utc)

    async def write_last_used(self) -> None:
        """Write down when connections were last used, all since the last time at once. Raises DatabaseError."""
        used, self._last_used = self._last_used, {}
        if used:
            tenants, persons, servers = zip(*used, strict=True)
            await self._database.execute("touch_connections", tenants, persons, servers, list(used.values()))

    async def existing(self, keys: Sequence[ConnectionKey]) -> dict[ConnectionKey, uuid.UUID]:
        """The ids of the connections that there are at these keys, read anew."""
        if not keys:
            return {}
        tenants, persons, servers = zip(*keys, strict=True)
        rows = await self._database.fetch("connection_ids", tenants, persons, servers)
        return {(row["tenant_id"], row["person_id"], row["server_id"]): row["id"] for row in rows}

    async def reseal(self) -> tuple[int, int]:
        """Seal with the key in force whatever another has sealed; how many were, and how many no key opens."""
        return await reseal_rows(
            self._database,
            self._vault,
            "connections_sealed_otherwise",
            "reseal_connection",
            ("tenant_id", "person_id", "server_id"),
            _owner_of,
        )

    async def load(self, key: ConnectionKey) -> Connection | None:
        """The connection as the database has it now, and from now on `get`."""
        self._known.discard(key[0], key[1:])
        return await self._read(key)

    async def save(
        self, connection: Connection, holder: uuid.UUID, secret: Mapping[str, Any], scopes: str, end: datetime | None
    ) -> bool:
        """What a renewal brought, from who holds the lock; False where the lock is lost."""
        sealed = self._vault.seal(dict(secret), connection_owner(connection.key, connection.id))
        saved = await self._database.execute("save_renewed_connection", *connection.key, holder, sealed, scopes, end)
        self._known.discard(connection.tenant_id, (connection.person_id, connection.server_id))
        return saved == 1

    async def end(self, connection: Connection) -> None:
        """End this connection, unless it is another by now."""
        await self._database.fetch("disconnect", *connection.key, connection.id)

    async def _read(self, key: ConnectionKey) -> Connection | None:
        row = await self._database.fetchrow("connection_by_key", *key)
        return None if row is None else self._opened(row)

    def _opened(self, row: Row) -> Connection:
        key = (row["tenant_id"], row["person_id"], row["server_id"])
        return Connection(
            *key,
            id=row["id"],
            kind=row["kind"],
            secret=self._vault.open(row["sealed"], connection_owner(key, row["id"])),
            subject=row["subject"],
            scopes=row["scopes"],
            expires_at=row["expires_at"],
            listing_agreed=row["listing_agreed_at"] is not None,
        )


class LockedConnection:
    """A connection in the hands of `holder`, who alone renews it."""

    def __init__(self, connections: Connections, connection: Connection, holder: uuid.UUID) -> None:
        self._connections = connections
        self._connection = connection
        self._holder = holder

    async def load(self) -> Connection | None:
        """The connection as it is now; None where it has ended, or is another."""
        now = await self._connections.load(self._connection.key)
        return now if now is not None and now.id == self._connection.id else None

    async def save(self, secret: Mapping[str, Any], *, scopes: str = "", expires_at: datetime | None = None) -> bool:
        """Replace what is in it; False where the lock is lost, or the person has connected anew."""
        return await self._connections.save(self._connection, self._holder, secret, scopes, expires_at)

    async def remove(self) -> None:
        """End it: what the person granted is worth nothing any more."""
        await self._connections.end(self._connection)


def _owner_of(row: Row) -> str:
    return connection_owner((row["tenant_id"], row["person_id"], row["server_id"]), row["id"])


def _known_key(person_id: int, server_id: int | None) -> tuple[int, int] | None:
    """Replicas of the version before tell of no server."""
    return None if server_id is None else (person_id, server_id)


def _record(row: Row) -> ConnectionRecord:
    return ConnectionRecord(**{name: row[name] for name in ConnectionRecord.__dataclass_fields__})
