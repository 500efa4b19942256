"""What lets the person behind a call in at a server, whatever kind the server takes."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.access.caller import Caller
from gateway.access.connections.connections import Connections
from gateway.access.connections.source import CredentialSource, PersonAtServer, SignInSource
from gateway.access.persons import Persons
from gateway.errors import ConnectionNeededError, UpstreamUnavailableError
from gateway.upstream.credentials.personal import PersonCredential, personal_kind
from gateway.upstream.spec import ServerSpec


class PersonalCredentials:
    """Asks the source of the server's kind."""

    def __init__(self, persons: Persons, connections: Connections, sources: Mapping[str, CredentialSource]) -> None:
        """`sources` by the name of their kind."""
        self._persons = persons
        self._connections = connections
        self._sources = sources

    async def person_at(self, caller: Caller, spec: ServerSpec) -> PersonAtServer:
        """The person behind a call, at a server that lets each in as who they are.

        Raises ConnectionNeededError for a key whose owner has not accepted it.
        """
        if caller.awaits:
            raise ConnectionNeededError(
                spec.name,
                spec.id,
                f"This API key is to act for {caller.awaits}, who has not accepted it yet",
                next_step="have them accept it on their page My connections of the gateway",
            )
        person = await self._persons.ensure(caller.tenant_id, caller.person, caller.person_name)
        return PersonAtServer(person, spec, caller.token, caller.proxy_headers)

    async def get(self, caller: Caller, spec: ServerSpec) -> PersonCredential:
        """What a call carries. Raises as `CredentialSource.get`."""
        return await self.source(spec).get(await self.person_at(caller, spec))

    async def renew(self, caller: Caller, spec: ServerSpec, refused: PersonCredential) -> PersonCredential | None:
        """Another credential than the one that the server has refused; raises as `CredentialSource.renew`."""
        return await self.source(spec).renew(await self.person_at(caller, spec), refused)

    async def for_listing(self, spec: ServerSpec) -> PersonCredential | None:
        """By which person's credential a server is listed for everybody; None where by its own.

        Raises ConnectionNeededError where that person has not connected it, or not agreed, and as `get`.
        """
        if spec.personal is None or spec.list_as is None:
            return None
        person = await self._persons.get(spec.tenant_id, spec.list_as)
        connection = await self._connections.get(spec.tenant_id, person.id, spec.id)
        if connection is None or not connection.listing_agreed:
            raise ConnectionNeededError(
                spec.name,
                spec.id,
                f"{spec.name} is to be listed as {person.name}, who has not agreed to it",
                next_step="have them agree on their page My connections of the gateway",
            )
        return await self.source(spec).get(PersonAtServer(person, spec))

    @property
    def sign_in_sources(self) -> list[SignInSource]:
        """Those for which a person signs in elsewhere."""
        return [source for source in self._sources.values() if isinstance(source, SignInSource)]

    def source(self, spec: ServerSpec) -> CredentialSource:
        """The source for the kind of a server. Raises UpstreamUnavailableError for a kind that is not known here."""
        source = None if spec.personal is None else self._sources.get(personal_kind(spec.personal))
        if source is None:
            raise UpstreamUnavailableError(
                spec.name, f"Server {spec.name} takes personal credentials of a kind that this gateway does not know."
            )
        return source
