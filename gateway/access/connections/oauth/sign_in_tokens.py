"""What the company's provider gave when persons signed in to the gateway: by it, it vouches for them elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field

import anyio

from gateway.access.connections.connections import LOCK_SECONDS
from gateway.access.connections.resealing import reseal_rows
from gateway.database.pool import Database
from gateway.errors import DatabaseError
from gateway.vault import Vault

_RETRY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class SignInTokens:
    """The tokens of one sign-in at `issuer`; empty is what it did not give."""

    issuer: str
    id_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)


class StoredSignInTokens:
    """The tokens of persons' last sign-ins, sealed, each bound to its person."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def store(self, tenant_id: int, person_id: int, tokens: SignInTokens) -> None:
        """Somebody has signed in; what they had before is forgotten."""
        sealed = self._vault.seal(asdict(tokens), _owner(tenant_id, person_id))
        await self._database.execute("keep_sign_in_tokens", tenant_id, person_id, sealed)

    async def get(self, tenant_id: int, person_id: int) -> SignInTokens | None:
        """The tokens; None where the person has not signed in since they would have been kept."""
        row = await self._database.fetchrow("sign_in_tokens", tenant_id, person_id)
        if row is None:
            return None
        return SignInTokens(**self._vault.open(row["sealed"], _owner(tenant_id, person_id)))

    async def forget(self, tenant_id: int, person_id: int) -> None:
        """They are worth nothing any more."""
        await self._database.execute("delete_sign_in_tokens", tenant_id, person_id)

    @asynccontextmanager
    async def lock(self, tenant_id: int, person_id: int) -> AsyncIterator[uuid.UUID | None]:
        """At most one renewal of a person's tokens at a time, in whatever process; None where they are gone.

        No database connection is held meanwhile. It holds for `LOCK_SECONDS` at most.
        """
        holder = uuid.uuid4()
        while not await self._database.fetchval("lock_sign_in_tokens", tenant_id, person_id, holder, LOCK_SECONDS):
            if await self._database.fetchrow("sign_in_tokens", tenant_id, person_id) is None:
                yield None
                return
            await anyio.sleep(_RETRY_SECONDS)
        try:
            yield holder
        finally:
            with anyio.CancelScope(shield=True), suppress(DatabaseError):
                await self._database.execute("unlock_sign_in_tokens", tenant_id, person_id, holder)

    async def save(self, tenant_id: int, person_id: int, holder: uuid.UUID, tokens: SignInTokens) -> bool:
        """What a renewal brought; False where the lock is lost, or the person has signed in anew."""
        sealed = self._vault.seal(asdict(tokens), _owner(tenant_id, person_id))
        return await self._database.execute("save_sign_in_tokens", tenant_id, person_id, sealed, holder) == 1

    async def reseal(self) -> tuple[int, int]:
        """Seal with the key in force whatever another has sealed; how many were, and how many no key opens."""
        return await reseal_rows(
            self._database,
            self._vault,
            "sign_in_tokens_sealed_otherwise",
            "reseal_sign_in_tokens",
            ("tenant_id", "person_id"),
            lambda row: _owner(row["tenant_id"], row["person_id"]),
        )


def _owner(tenant_id: int, person_id: int) -> str:
    return f"sign-in tokens of person {person_id} of tenant {tenant_id}"
