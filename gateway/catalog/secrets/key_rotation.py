"""A new encryption key, under which everything is sealed anew while gateways go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.access.connections.connections import Connections
from gateway.access.connections.oauth.registrations import OAuthRegistrations
from gateway.access.connections.oauth.sign_in_tokens import StoredSignInTokens
from gateway.catalog.secrets.sealed_texts import SealedTexts
from gateway.database.pool import Database
from gateway.errors import ConflictError
from gateway.vault import KeyFile, KeyRing, Vault

# Whoever sealed something just before there was a new key has stored it by then: no statement takes longer.
SETTLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Rotated:
    """What came of a rotation: servers and connections whose secrets were sealed anew, and those that no key opens."""

    resealed: int
    unreadable: int


class KeyRotation:
    """Rotates the key of one gateway, be it in the settings or in a file."""

    def __init__(self, database: Database, ring: KeyRing, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._database = database
        self._ring = ring
        self._texts = SealedTexts(database, Vault(ring))
        self._connections = Connections(database, Vault(ring))
        self._registrations = OAuthRegistrations(database, Vault(ring))
        self._sign_in_tokens = StoredSignInTokens(database, Vault(ring))
        self._settle_seconds = settle_seconds

    async def run(self) -> Rotated:
        """Seal everything under the key in force; where keys are in a file, under a new one, and forget the former.

        A rotation that was cut short is finished by the next. Raises ConflictError while another is under way.
        """
        async with self._database.dedicated_connection() as connection:
            if not await connection.fetchval("try_lock_rotation"):
                raise ConflictError("The encryption key is being rotated already; wait until that has ended.")
            await self._texts.adopt_from_0_1()
            if not isinstance(self._ring, KeyFile):
                return Rotated(*await self._reseal())
            self._ring.begin_rotation()
            first, _ = await self._reseal()
            await asyncio.sleep(self._settle_seconds)
            second, unreadable = await self._reseal()
            self._ring.end_rotation()
            return Rotated(first + second, unreadable)

    async def _reseal(self) -> tuple[int, int]:
        """Everything; how many were sealed anew, and how many could not be opened."""
        kinds = (self._texts, self._connections, self._registrations, self._sign_in_tokens)
        done, failed = zip(*[await texts.reseal() for texts in kinds], strict=True)
        return sum(done), sum(failed)
