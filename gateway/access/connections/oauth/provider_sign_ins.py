"""What a sign-in at the company's provider is worth at servers for whose users it vouches."""

from __future__ import annotations

from gateway.access.connections.connections import Connections
from gateway.access.connections.oauth.sign_in_tokens import SignInTokens, StoredSignInTokens
from gateway.access.persons import Identity, Persons
from gateway.database.pool import Database


class ProviderSignIns:
    """Connects whoever signs in to the gateway with those servers, in each tenant that they are a person of."""

    def __init__(
        self, database: Database, persons: Persons, connections: Connections, tokens: StoredSignInTokens, tenant: str
    ) -> None:
        """`tenant` is the slug of the one in which everybody is who can sign in."""
        self._database = database
        self._persons = persons
        self._connections = connections
        self._tokens = tokens
        self._tenant = tenant

    async def record(self, identity: Identity, name: str, tokens: SignInTokens) -> None:
        """Somebody has signed in. Nothing is kept where no server has a use for it. Raises DatabaseError."""
        rows = await self._database.fetch("vouching_servers", identity.issuer, identity.subject, self._tenant)
        for tenant_id in dict.fromkeys(row["tenant_id"] for row in rows):
            person = await self._persons.ensure(tenant_id, identity, name)
            await self._tokens.store(tenant_id, person.id, tokens)
            for server_id in (row["id"] for row in rows if row["tenant_id"] == tenant_id):
                connected = await self._connections.load((tenant_id, person.id, server_id))
                # Who signs in once more goes on in the same session.
                if connected is None or connected.kind != "id_jag":
                    await self._connections.connect(person, server_id, "id_jag", {}, subject=name)
