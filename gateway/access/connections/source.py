"""Where the credential of one person at one server comes from: one source for each kind of personal credential."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from gateway.access.persons import Identity, Person
from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.spec import ServerSpec

SESSION_FORM = re.compile(r"person-(?P<tenant>\d+)-(?P<person>\d+)-(?P<server>\d+)-(?P<grant>[0-9A-Za-z_-]+)")
"""How sessions of persons are called."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PersonAtServer:
    """One person who wants something of one server that lets each in as who they are; `spec.personal` says how.

    `token` is the access token that the person called the gateway with, empty where it was an API key: a source may
    exchange it, and never passes it on as it is. `headers`, names in lower case, are what a trusted proxy put on the
    request; empty where the request came straight from a client.
    """

    person: Person
    spec: ServerSpec
    token: str = field(default="", repr=False, compare=False)
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False, compare=False)

    @property
    def connection_key(self) -> tuple[int, int, int]:
        """Tenant, person and server."""
        return self.person.tenant_id, self.person.id, self.spec.id

    def session(self, grant: str) -> str:
        """What `PersonCredential.session` has to be; `grant` tells one connection of the person from the next."""
        return f"person-{self.person.tenant_id}-{self.person.id}-{self.spec.id}-{grant}"


class CredentialSource(Protocol):
    """Gets credentials of one kind. Its methods hold no database connection while they wait for a provider."""

    async def get(self, at: PersonAtServer) -> PersonCredential:
        """What the next request carries; renewed beforehand where it is about to end.

        Raises ConnectionNeededError where the person has to do something first, UpstreamUnavailableError where the
        provider does not answer.
        """
        ...

    async def renew(self, at: PersonAtServer, refused: PersonCredential) -> PersonCredential | None:
        """Another credential after the server has answered HTTP 401 to `refused`; None where there can be none.

        Raises as `get`; ConnectionNeededError where what the person granted has been taken back.
        """
        ...

    async def revoke(self, at: PersonAtServer) -> None:
        """Take back at the provider what it gave, where that is possible; called before the connection is removed.

        A provider that fails keeps nobody from disconnecting: what it says is logged.
        """
        ...


@runtime_checkable
class SignInSource(CredentialSource, Protocol):
    """A source for which the person signs in elsewhere, in a browser."""

    async def begin(self, at: PersonAtServer, redirect_uri: str, browser: str, metadata_url: str, link: str) -> str:
        """The address to send the browser to.

        `browser` is a secret that only this browser has, `metadata_url` the gateway's client metadata document, empty
        where it has none; `link` is to be handed back by `finish`. Raises UpstreamUnavailableError.
        """
        ...

    async def finish(
        self, state: str, code: str, browser: str, issuer: str | None, signed_in: Identity | None = None
    ) -> FinishedSignIn | None:
        """Store what `code` is worth by `Connections.connect`; None where no sign-in of a person has this `state`.

        `signed_in` is who has signed in to the gateway in that browser, None where that cannot be told. Raises
        InvalidInputError for an answer from another browser or person, UpstreamUnavailableError where it is not taken.
        """
        ...


@dataclass(frozen=True, slots=True)
class FinishedSignIn:
    """Who is connected to which server now; `link` is what `begin` was given.

    `missing_scopes` were asked for and not granted.
    """

    tenant_id: int
    person_id: int
    server_id: int
    link: str
    missing_scopes: tuple[str, ...] = ()
