"""Links that lead a person to where they connect a server: each for one person and server, ten minutes, and once."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

from gateway.access.persons import Person
from gateway.database.pool import Database

LINK_SECONDS = 600.0
LINKS_PATH = "/connections/link"
"""Where they lead to, below the gateway's address."""

# A client that calls again and again gets the same one, for as long as that is good for a while.
_REUSE_SECONDS = 300.0
_MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class ConnectionLink:
    """What a link is for. `key_id` is the key that asked, where nobody owns it: then who has the key is the person."""

    tenant_id: int
    person_id: int
    server_id: int
    key_id: int | None


class ConnectionLinks:
    """Links of every tenant. A link is no secret: it opens nothing for anybody but its person."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made: dict[tuple[int, int, int, int | None], tuple[str, float]] = {}

    async def make(self, person: Person, server_id: int, key_id: int | None = None) -> str:
        """The token of a link for a person and a server: a new one, or one that was made just now and not used."""
        key = (person.tenant_id, person.id, server_id, key_id)
        made = self._made.get(key)
        now = time.monotonic()
        if made is not None and now < made[1] and await self.find(made[0]) is not None:
            return made[0]
        token = secrets.token_urlsafe(24)
        await self._database.execute(
            "insert_connection_link", _hash(token), person.tenant_id, person.id, server_id, key_id, LINK_SECONDS
        )
        if len(self._made) >= _MAX_KEPT:
            self._made.clear()
        self._made[key] = (token, now + _REUSE_SECONDS)
        return token

    async def find(self, token: str) -> ConnectionLink | None:
        """What a link is for; None where there is none of this token, it has been used, or its time is over."""
        row = await self._database.fetchrow("connection_link", _hash(token))
        return None if row is None else ConnectionLink(**row)

    async def use(self, token: str) -> bool:
        """A link is used up; False where it was already."""
        return bool(await self._database.fetch("use_connection_link", _hash(token)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
