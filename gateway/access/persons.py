"""Persons: whoever is behind a call, by the issuer that vouches for them and its subject."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.database.connection import Row
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.errors import InvalidInputError, NotFoundError

ACCOUNT_ISSUER = "modelgate"
"""Vouches for accounts of the gateway's own; their subjects are the ids of accounts."""

KEY_ISSUER = "key"
"""Vouches for API keys that nobody owns; their subjects are the ids of keys."""

_NAME_LENGTH = 200
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is: `issuer` vouches for `subject`."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in one tenant. Two persons may have the same `name`."""

    tenant_id: int
    id: int
    issuer: str
    subject: str
    name: str

    @property
    def identity(self) -> Identity:
        return Identity(self.issuer, self.subject)


class Persons:
    """The persons of every tenant."""

    def __init__(self, database: Database, notices: Notices | None = None) -> None:
        self._database = database
        self._known: NotifiedCache[tuple[Identity, str], Person] = NotifiedCache(notices)

    async def ensure(self, tenant_id: int, identity: Identity, name: str = "") -> Person:
        """The person of this identity, who is made where there is none; an empty `name` leaves the one they have.

        Raises InvalidInputError for an identity that nobody can have.
        """
        if not all(0 < len(part) <= _LONGEST and "\x00" not in part for part in (identity.issuer, identity.subject)):
            raise InvalidInputError("Whoever vouches for you names nobody, or somebody with too long a name.")
        shown = "".join(letter for letter in name if letter.isprintable()).strip()[:_NAME_LENGTH]

        async def read() -> Person:
            row = await self._database.fetchrow("ensure_person", tenant_id, identity.issuer, identity.subject, shown)
            assert row is not None
            return _person(row)

        return await self._known.get(tenant_id, (identity, shown), read)

    async def get(self, tenant_id: int, person_id: int) -> Person:
        """One person. Raises NotFoundError."""
        row = await self._database.fetchrow("person_by_id", tenant_id, person_id)
        if row is None:
            raise NotFoundError(f"There is no person {person_id} in this tenant.")
        return _person(row)

    async def named(self, tenant_id: int, name: str) -> Person:
        """The one person who goes by a name or subject. Raises NotFoundError for nobody, and for several."""
        rows = await self._database.fetch("persons_named", tenant_id, name)
        if len(rows) != 1:
            many = f"{len(rows)} persons go" if rows else "Nobody goes"
            raise NotFoundError(
                f"{many} by {name[:_NAME_LENGTH]!r} here; `modelgate connections list` names who has connected."
            )
        return _person(rows[0])

    async def remove(self, tenant_id: int, person_id: int) -> None:
        """Remove a person with their connections; keys that acted for them act for nobody. Raises NotFoundError."""
        if not await self._database.fetch("delete_person", tenant_id, person_id):
            raise NotFoundError(f"There is no person {person_id} in this tenant.")


def _person(row: Row) -> Person:
    return Person(row["tenant_id"], row["id"], row["issuer"], row["subject"], row["name"])
