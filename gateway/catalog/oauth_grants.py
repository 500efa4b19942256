"""The OAuth tokens of servers, sealed in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.database.connection import DatabaseConnection
from gateway.database.pool import Database
from gateway.errors import NotFoundError
from gateway.upstream.oauth_grant import OAuthGrant
from gateway.vault import Vault


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """The grant of one server: what `GrantStore` asks for."""

    tenant_id: int
    server_id: int
    database: Database = field(compare=False, repr=False)
    vault: Vault = field(compare=False, repr=False)

    async def load(self) -> OAuthGrant | None:
        """The grant, None where nobody has signed in. Raises NotFoundError for a server that was removed."""
        return await self.read(self.database)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[LockedStoredGrant]:
        """The grant in a transaction that keeps all others out, in all processes."""
        async with self.database.transaction() as transaction:
            await transaction.fetchval("lock_grant", self.server_id)
            yield LockedStoredGrant(self, transaction)

    async def read(self, statements: Database | DatabaseConnection) -> OAuthGrant | None:
        """The grant, read with `statements`."""
        row = await statements.fetchrow("sealed_grant", self.tenant_id, self.server_id)
        if row is None:
            raise NotFoundError(f"There is no server {self.server_id} in this tenant.")
        if row["sealed_grant"] is None:
            return None
        return OAuthGrant.from_dict(self.vault.open(row["sealed_grant"], self.owner))

    @property
    def owner(self) -> str:
        """What the sealed grant is bound to."""
        return f"grant of server {self.server_id} of tenant {self.tenant_id}"


class LockedStoredGrant:
    """A `LockedGrant` on the connection of its transaction: renewals never wait for each other's connections."""

    def __init__(self, stored: StoredGrant, transaction: DatabaseConnection) -> None:
        self._stored = stored
        self._transaction = transaction

    async def load(self) -> OAuthGrant | None:
        """The grant as it is now."""
        return await self._stored.read(self._transaction)

    async def save(self, grant: OAuthGrant) -> None:
        """Replace the grant, with the end of the transaction."""
        stored = self._stored
        sealed = stored.vault.seal(grant.to_dict(), stored.owner)
        await self._transaction.execute("save_sealed_grant", stored.tenant_id, stored.server_id, sealed)
