"""Sessions of people who have signed in at the provider and run nothing, stored as a hash."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.access.persons import Identity, Person, Persons
from gateway.access.tenants import tenant_by_slug
from gateway.admin.accounts.secret import derive_csrf_token, generate_secret, hash_secret
from gateway.database.pool import Database


@dataclass(frozen=True, slots=True)
class PersonSession:
    """Who a session belongs to, and what a change made with it has to carry."""

    person: Person
    session_hash: bytes
    csrf_token: str


class PersonSessions:
    """Opens, finds and ends sessions; they are in the tenant that access tokens of the provider act in."""

    def __init__(
        self, database: Database, persons: Persons, tenant: str, lifetime_seconds: float, idle_seconds: float
    ) -> None:
        self._database = database
        self._persons = persons
        self._tenant = tenant
        self._lifetime_seconds = lifetime_seconds
        self._idle_seconds = idle_seconds

    async def open(self, identity: Identity, name: str, address: str) -> str:
        """A new session; what is returned goes into the cookie and is stored nowhere else. Raises NotFoundError."""
        tenant = await tenant_by_slug(self._database, self._tenant)
        person = await self._persons.ensure(tenant.id, identity, name)
        session = generate_secret()
        await self._database.execute(
            "insert_person_session", hash_secret(session), tenant.id, person.id, address, self._lifetime_seconds
        )
        return session

    async def authenticate(self, session: str) -> PersonSession | None:
        """Who a session belongs to; None when it has ended or never was."""
        hashed = hash_secret(session)
        row = await self._database.fetchrow("person_session", hashed, self._idle_seconds)
        if row is None:
            return None
        person = Person(row["tenant_id"], row["id"], row["issuer"], row["subject"], row["name"])
        return PersonSession(person, hashed, derive_csrf_token(session))

    async def close(self, session_hash: bytes) -> None:
        """End a session at once."""
        await self._database.execute("delete_person_session", session_hash)

    async def delete_expired(self) -> None:
        """Remove sessions that are over."""
        await self._database.execute("delete_ended_person_sessions", self._idle_seconds)
