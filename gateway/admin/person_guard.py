"""What stands before the pages of one's own connections: anybody who can sign in may see them, and only their own."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request

from gateway.access.persons import ACCOUNT_ISSUER, Identity, Person, Persons
from gateway.access.tenants import DEFAULT_TENANT, tenant_by_slug
from gateway.admin.accounts.person_session import PersonSession, PersonSessions
from gateway.admin.accounts.principal import Principal
from gateway.admin.request_guard import CSRF_FIELD, RequestGuard, Requirement, client_address
from gateway.admin.session_cookie import SessionCookie
from gateway.database.actor import Actor, acting_as
from gateway.database.pool import Database
from gateway.errors import AccessError, ForbiddenError, NotFoundError, SignInRequiredError

_PUBLIC = Requirement("page.connections", public=True)
_SAFE_METHODS = {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in. `tenants` are the slugs of those in which they may have connections, the first by default.

    `account` is the name by which keys name their owner. `csrf_token` is what a change has to carry. `is_admin`: they
    have an account of the admin side, too.
    """

    identity: Identity
    name: str
    account: str
    tenants: tuple[str, ...]
    csrf_token: str
    is_admin: bool


class PersonGuard:
    """Admits requests of people who have signed in, be it as admin or as nobody but themselves."""

    def __init__(
        self,
        database: Database,
        guard: RequestGuard,
        persons: Persons,
        sessions: PersonSessions,
        cookie: SessionCookie,
    ) -> None:
        """`cookie` is that of people who run nothing."""
        self._database = database
        self._guard = guard
        self._persons = persons
        self._sessions = sessions
        self._cookie = cookie

    @contextlib.asynccontextmanager
    async def admit(self, request: Request) -> AsyncIterator[SignedIn]:
        """To be entered around what a request is for; what is changed inside is written to the audit log as theirs.

        Raises HttpError, ForbiddenError, SignInRequiredError.
        """
        async with self._guard.admit(request, _PUBLIC):
            signed_in, actor = await self._authenticate(request)
            if request.method not in _SAFE_METHODS:
                given = (await request.form()).get(CSRF_FIELD)
                if not isinstance(given, str) or not hmac.compare_digest(given.encode(), signed_in.csrf_token.encode()):
                    raise ForbiddenError("The form is not of your session; load the page again.")
            with acting_as(actor):
                yield signed_in

    @contextlib.asynccontextmanager
    async def admit_anybody(self, request: Request) -> AsyncIterator[None]:
        """The same for what asks for a key instead of a sign-in."""
        async with self._guard.admit(request, _PUBLIC):
            yield

    async def person(self, signed_in: SignedIn, slug: str | None) -> Person:
        """Who they are in a tenant. Raises NotFoundError, alike for one that is not there and one not theirs."""
        chosen = slug or (signed_in.tenants[0] if signed_in.tenants else DEFAULT_TENANT)
        if chosen not in signed_in.tenants:
            raise NotFoundError(f"There is no tenant {chosen[:63]!r} in which you could have connections.")
        tenant = await tenant_by_slug(self._database, chosen)
        return await self._persons.ensure(tenant.id, signed_in.identity, signed_in.name)

    async def find_signed_in(self, request: Request) -> Identity | None:
        """Who has signed in in the browser of a request; None for nobody, and where the browser does not say."""
        try:
            signed_in, _ = await self._authenticate(request)
        except AccessError:
            return None
        return signed_in.identity

    async def sign_out(self, request: Request) -> None:
        """End the session of somebody who runs nothing."""
        session = await self._person_session(request)
        if session is not None:
            await self._sessions.close(session.session_hash)

    async def _authenticate(self, request: Request) -> tuple[SignedIn, Actor]:
        address = client_address(request)
        session = await self._person_session(request)
        if session is not None:
            person = session.person
            tenant = await self._database.fetchval("tenant_slug", person.tenant_id)
            # A key that names an admin is not for somebody at the provider who goes by the same name.
            taken = await self._database.fetchrow("admin_by_name", person.name) is not None
            account = person.subject if taken else person.name
            signed_in = SignedIn(person.identity, person.name, account, (tenant,), session.csrf_token, is_admin=False)
            return signed_in, Actor("person", person.name, person.id, (), address)
        principal = await self._guard.authenticate(request)
        if principal.csrf_token is None:
            raise SignInRequiredError("This page is for people; sign in in a browser.")
        identity = await self._identity(principal)
        admin = principal.admin
        known = [row["slug"] for row in await self._database.fetch("tenants_of_person", *_pair(identity))]
        entered = await self._tenants_of_admin(principal)
        tenants = tuple(dict.fromkeys([*known, *entered]))
        tenants = tuple(sorted(tenants, key=lambda slug: slug != DEFAULT_TENANT))
        signed_in = SignedIn(identity, admin.name, admin.name, tenants, principal.csrf_token, is_admin=True)
        return signed_in, Actor("admin", admin.name, admin.id, (principal.role,), address)

    async def _person_session(self, request: Request) -> PersonSession | None:
        session = self._cookie.read(request)
        return await self._sessions.authenticate(session) if session else None

    async def _tenants_of_admin(self, principal: Principal) -> list[str]:
        if not principal.admin.every_tenant:
            return list(principal.admin.tenants)
        return [row["slug"] for row in await self._database.fetch("list_tenants") if row["suspended_at"] is None]

    async def _identity(self, principal: Principal) -> Identity:
        row = await self._database.fetchrow("admin_identity", principal.admin.id)
        if row is None or row["issuer"] is None:
            return Identity(ACCOUNT_ISSUER, str(principal.admin.id))
        return Identity(row["issuer"], row["subject"])


def _pair(identity: Identity) -> tuple[str, str]:
    return identity.issuer, identity.subject
