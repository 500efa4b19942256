"""Connections of persons: each sees, makes and ends their own; admins see who has which, and may end them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import anyio
from pydantic import Field

from gateway.access.connections.connections import ConnectionRecord, Connections
from gateway.access.connections.personal_credentials import PersonalCredentials
from gateway.access.connections.secret import read_secret, secret_credential
from gateway.access.connections.source import PersonAtServer, SignInSource
from gateway.access.keys import ApiKeys, KeyRecord
from gateway.access.persons import Person, Persons
from gateway.admin.request_input import FORBID_EXTRA
from gateway.catalog.servers.server import Servers
from gateway.database.pool import Database
from gateway.errors import InvalidInputError, ModelGateError, NotFoundError, UpstreamError, UpstreamHttpError
from gateway.upstream.credentials.personal import PersonalSecret, personal_kind
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_TRIAL_SECONDS = 10.0
_REVOKE_SECONDS = 10.0
_REFUSALS = (401, 403)


@dataclass(frozen=True, slots=True)
class ConnectionCard:
    """A server that lets each person in as who they are, as one person sees it.

    `kind` names how; `can_connect` is False where there is nothing for the person to do. `connected_at` is None where
    they have not connected it. `subject` is as whom the server knows them, empty where that is not known.
    `is_listed_as`: the server is to be listed for everybody by their connection, which takes their agreement.
    """

    server_id: int
    server_name: str
    description: str
    kind: str
    can_connect: bool
    connected_at: datetime | None = None
    subject: str = ""
    scopes: str = ""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    is_listed_as: bool = False
    listing_agreed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PersonConnection:
    """A connection as admins see it: whose it is and to what, and nothing that is in it."""

    person_id: int
    person_name: str
    issuer: str
    person_subject: str
    server_id: int
    server_name: str
    kind: str
    subject: str
    scopes: str
    expires_at: datetime | None
    connected_at: datetime
    last_used_at: datetime | None
    listing_agreed_at: datetime | None


@dataclass(frozen=True, slots=True)
class PersonConnectionFilter:
    """Which connections: of one server, or all. `after` is the `next` of the page before."""

    server_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    after: Annotated[str, Field(pattern=r"^\d{1,19}-\d{1,19}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class PersonConnectionPage:
    """A page of connections; `next` is for `after` of the next page, None on the last."""

    items: tuple[PersonConnection, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class KeyForMe:
    """A key that acts for a person, or that is to and waits for them to accept it."""

    id: int
    name: str
    hint: str
    created_at: datetime
    accepted_at: datetime | None


class ConnectionService:
    """Connections of a tenant."""

    def __init__(
        self,
        database: Database,
        servers: Servers,
        persons: Persons,
        connections: Connections,
        credentials: PersonalCredentials,
        keys: ApiKeys,
        pool: UpstreamPool,
    ) -> None:
        self._database = database
        self._servers = servers
        self._persons = persons
        self._connections = connections
        self._credentials = credentials
        self._keys = keys
        self._pool = pool

    async def of_person(self, person: Person) -> list[ConnectionCard]:
        """Every server of the tenant that lets each person in as who they are, and what this one has connected."""
        made = {each.server_id: each for each in await self._connections.of_person(person.tenant_id, person.id)}
        rows = await self._database.fetch("personal_servers", person.tenant_id)
        cards = []
        for row in rows:
            connection = made.get(row["id"])
            known = {} if connection is None else {name: getattr(connection, name) for name in _SHOWN}
            cards.append(
                ConnectionCard(
                    server_id=row["id"],
                    server_name=row["name"],
                    description=row["description"],
                    kind=row["personal"],
                    can_connect=row["personal"] in ("secret", "oauth", "id_jag"),
                    is_listed_as=row["list_as"] == person.id,
                    **known,
                )
            )
        return cards

    async def server(self, person: Person, server_id: int) -> ServerSpec:
        """A server that a person may connect. Raises NotFoundError, InvalidInputError where nothing is to connect."""
        spec = await self._servers.spec(person.tenant_id, server_id)
        if spec.personal is None:
            raise InvalidInputError(f"{spec.name} lets everybody in alike; there is nothing to connect.")
        return spec

    async def connect_secret(
        self, person: Person, server_id: int, given: Mapping[str, str], *, listing_agreed: bool = False
    ) -> str:
        """Keep what a person gave for a server, if the server takes it; the server's name.

        Raises NotFoundError, and InvalidInputError for what cannot be, or what the server refuses.
        """
        spec = await self.server(person, server_id)
        if not isinstance(spec.personal, PersonalSecret):
            raise InvalidInputError(f"{spec.name} takes no secret that is typed in; connect it as its page says.")
        secret, subject = read_secret(spec.personal, given)
        await self._try(person, spec, spec.personal, secret)
        before = await self._connections.get(person.tenant_id, person.id, server_id)
        await self._connections.connect(
            person,
            server_id,
            "secret",
            secret,
            subject=subject,
            listing_agreed=listing_agreed and spec.list_as == person.id,
        )
        if before is not None:
            await self._pool.close_sessions(PersonAtServer(person, spec).session(str(before.id)))
        return spec.name

    async def begin_sign_in(
        self, person: Person, server_id: int, redirect_uri: str, browser: str, metadata_url: str, link: str
    ) -> str:
        """The address at which a person signs in for a server.

        Raises NotFoundError, InvalidInputError, UpstreamError.
        """
        spec = await self.server(person, server_id)
        source = self._credentials.source(spec)
        if not isinstance(source, SignInSource):
            raise InvalidInputError(f"{spec.name} is not signed in to; connect it as its page says.")
        return await source.begin(PersonAtServer(person, spec), redirect_uri, browser, metadata_url, link)

    async def disconnect(self, person: Person, server_id: int) -> None:
        """Forget what a person has connected; sessions end, and its provider is told. Raises NotFoundError."""
        spec = await self._servers.spec(person.tenant_id, server_id)
        connection = await self._connections.get(person.tenant_id, person.id, server_id)
        if connection is None:
            raise NotFoundError(f"{spec.name} is not connected.")
        at = PersonAtServer(person, spec)
        if spec.personal is not None and personal_kind(spec.personal) == connection.kind:
            try:
                with anyio.fail_after(_REVOKE_SECONDS):
                    await self._credentials.source(spec).revoke(at)
            except (ModelGateError, TimeoutError) as error:
                logger.warning("What %s has granted was not taken back at the provider: %s", spec.name, error)
        await self._connections.disconnect(person.tenant_id, person.id, server_id)
        await self._pool.close_sessions(at.session(str(connection.id)))

    async def withdraw(self, tenant_id: int, person_id: int, server_id: int) -> None:
        """End a connection of somebody else. Raises NotFoundError."""
        await self.disconnect(await self._persons.get(tenant_id, person_id), server_id)

    async def agree_to_listing(self, person: Person, server_id: int, agreed: bool) -> None:
        """Whether a server is listed for everybody by this person's connection. Raises NotFoundError."""
        await self._connections.agree_to_listing(person.tenant_id, person.id, server_id, agreed)

    async def page(self, tenant_id: int, query: PersonConnectionFilter) -> PersonConnectionPage:
        """Who has connected what."""
        person_id, _, server_id = (query.after or "0-0").partition("-")
        records = await self._connections.page(
            tenant_id, query.server_id, (int(person_id), int(server_id)), query.limit + 1
        )
        shown = records[: query.limit]
        following = f"{shown[-1].person_id}-{shown[-1].server_id}" if len(records) > query.limit else None
        return PersonConnectionPage(tuple(_view(record) for record in shown), following)

    async def keys(self, person: Person, account: str) -> tuple[KeyForMe, ...]:
        """Keys that act for a person, who goes by the name `account`, and those that wait for them to accept them."""
        waiting = await self._keys.awaiting(person.tenant_id, account)
        accepted = await self._keys.of_person(person.tenant_id, person.id)
        return tuple(_key(record) for record in (*waiting, *accepted))

    async def accept_key(self, person: Person, key_id: int, account: str) -> None:
        """Let a key act for a person. Raises NotFoundError."""
        await self._keys.accept(person, key_id, account)

    async def release_key(self, person: Person, key_id: int) -> None:
        """Let a key act for a person no longer. Raises NotFoundError."""
        await self._keys.release(person, key_id)

    async def _try(self, person: Person, spec: ServerSpec, kind: PersonalSecret, secret: Mapping[str, str]) -> None:
        """Raises InvalidInputError where the server refuses what was given; that it is not there now is no matter."""
        if spec.transport == "stdio":
            return
        session = PersonAtServer(person, spec).session(f"trial-{secrets.token_hex(8)}")
        try:
            with anyio.move_on_after(_TRIAL_SECONDS):
                await self._pool.list_all(spec, "tools/list", "tools", secret_credential(kind, secret, session))
        except UpstreamHttpError as error:
            if error.status in _REFUSALS:
                raise InvalidInputError(
                    f"{spec.name} refuses it (HTTP {error.status}); look whether it is whole, and still good.",
                    "password" if kind.basic else "secret",
                ) from None
        except UpstreamError as error:
            logger.info("What a person gave could not be tried: %s", error)
        finally:
            with anyio.CancelScope(shield=True):
                await self._pool.close_sessions(session)


_SHOWN = ("connected_at", "subject", "scopes", "expires_at", "last_used_at", "listing_agreed_at")


def _view(record: ConnectionRecord) -> PersonConnection:
    return PersonConnection(**{name: getattr(record, name) for name in PersonConnection.__dataclass_fields__})


def _key(record: KeyRecord) -> KeyForMe:
    return KeyForMe(record.id, record.name, record.hint, record.created_at, record.accepted_at)
