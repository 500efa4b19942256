"""Which servers a caller has to connect before they let them in."""

from __future__ import annotations

from gateway.access.caller import Caller
from gateway.access.persons import Persons
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database

_NONE: frozenset[str] = frozenset()
_CONNECTABLE = ("secret", "oauth", "id_jag")


class ConnectionNeeds:
    """Looks after what is connected, kept until it changes."""

    def __init__(self, database: Database, persons: Persons, notices: Notices) -> None:
        self._database = database
        self._persons = persons
        self._servers: NotifiedCache[str, dict[int, str]] = NotifiedCache(notices)
        self._connected: NotifiedCache[int, frozenset[int]] = NotifiedCache(
            notices, key_of_person=lambda person_id, _: person_id
        )

    async def unconnected_servers(self, caller: Caller) -> frozenset[str]:
        """The names of those servers. Raises DatabaseError."""
        servers = await self._servers.get(caller.tenant_id, "", lambda: self._read_servers(caller.tenant_id))
        if not servers or not caller.person.subject:
            return _NONE
        if caller.awaits:
            return frozenset(servers.values())
        person = await self._persons.ensure(caller.tenant_id, caller.person, caller.person_name)
        connected = await self._connected.get(
            caller.tenant_id, person.id, lambda: self._read_connected(caller.tenant_id, person.id)
        )
        return frozenset(name for server_id, name in servers.items() if server_id not in connected)

    async def _read_servers(self, tenant_id: int) -> dict[int, str]:
        rows = await self._database.fetch("personal_servers", tenant_id)
        return {row["id"]: row["name"] for row in rows if row["personal"] in _CONNECTABLE}

    async def _read_connected(self, tenant_id: int, person_id: int) -> frozenset[int]:
        rows = await self._database.fetch("connected_servers", tenant_id, person_id)
        return frozenset(row["server_id"] for row in rows)
