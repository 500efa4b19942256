"""The OAuth tokens of servers, sealed in the database."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from gateway.catalog.secrets.sealed_texts import grant_owner
from gateway.database.pool import Database
from gateway.errors import DatabaseError, NotFoundError
from gateway.upstream.credentials.oauth_grant import LOCK_SECONDS, OAuthGrant
from gateway.vault import Vault

_RETRY_SECONDS = 0.1
_CLOSE_SECONDS = 5.0


class GrantRenewals:
    """Renewals under way: cut short, one may have used up a refresh token whose successor is lost."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[OAuthGrant]] = set()

    def spawn(self, renewal: Coroutine[Any, Any, OAuthGrant]) -> asyncio.Task[OAuthGrant]:
        """Run a renewal, whoever waits for it; its error is for those who do."""
        task = asyncio.create_task(renewal)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def aclose(self) -> None:
        """Return when all have ended, of themselves or because they took longer than a few seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _done(self, task: asyncio.Task[OAuthGrant]) -> None:
        self._tasks.discard(task)
        # Everybody who waited for it may be gone.
        if not task.cancelled():
            task.exception()


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """The grant of one server: what `GrantStore` asks for."""

    tenant_id: int
    server_id: int
    database: Database = field(compare=False, repr=False)
    vault: Vault = field(compare=False, repr=False)
    renewals: GrantRenewals = field(compare=False, repr=False)

    def spawn(self, renewal: Coroutine[Any, Any, OAuthGrant]) -> asyncio.Task[OAuthGrant]:
        """Run a renewal of the grant until it ends, and the gateway with it at the latest."""
        return self.renewals.spawn(renewal)

    async def load(self) -> OAuthGrant | None:
        """The grant, None where nobody has signed in. Raises NotFoundError for a server that was removed."""
        row = await self.database.fetchrow("sealed_grant", self.tenant_id, self.server_id)
        if row is None:
            raise NotFoundError(f"There is no server {self.server_id} in this tenant.")
        if row["sealed_grant"] is None:
            return None
        return OAuthGrant.from_dict(self.vault.open(row["sealed_grant"], self.owner))

    async def replace(self, grant: OAuthGrant) -> None:
        """Keep the grant of a new sign-in; whoever renews the one before can no longer save."""
        sealed = self.vault.seal(grant.to_dict(), self.owner)
        await self.database.execute("replace_sealed_grant", self.tenant_id, self.server_id, sealed)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[LockedStoredGrant]:
        """The grant, which nobody else renews meanwhile, in whatever process.

        The lock is a row, not a transaction: an authorization server takes its time, and connections are few.
        """
        holder = uuid.uuid4()
        key = (self.tenant_id, self.server_id, holder)
        while not await self.database.fetchval("lock_grant", *key, LOCK_SECONDS):
            # Of a server that was removed there is nothing to lock.
            await self.load()
            await anyio.sleep(_RETRY_SECONDS)
        try:
            yield LockedStoredGrant(self, holder)
        finally:
            with anyio.CancelScope(shield=True), suppress(DatabaseError):
                await self.database.execute("unlock_grant", *key)

    @property
    def owner(self) -> str:
        """What the sealed grant is bound to."""
        return grant_owner(self.tenant_id, self.server_id)


class LockedStoredGrant:
    """A `LockedGrant` in the hands of `holder`."""

    def __init__(self, stored: StoredGrant, holder: uuid.UUID) -> None:
        self._stored = stored
        self._holder = holder

    async def load(self) -> OAuthGrant | None:
        """The grant as it is now."""
        return await self._stored.load()

    async def save(self, grant: OAuthGrant) -> bool:
        """Replace the grant; False where the lock is lost."""
        stored = self._stored
        sealed = stored.vault.seal(grant.to_dict(), stored.owner)
        saved = await stored.database.execute(
            "save_renewed_grant", stored.tenant_id, stored.server_id, sealed, self._holder
        )
        return saved == 1
