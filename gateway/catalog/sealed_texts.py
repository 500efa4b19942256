"""All that is sealed in the database: what of it a server's row holds, and how it is sealed anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.errors import SettingsError
from gateway.vault import Vault

logger = logging.getLogger(__name__)

_AT_ONCE = 100

Opener = Callable[[bytes, str], dict[str, Any]]


def secrets_owner(tenant_id: int, server_id: int) -> str:
    """What the secrets of a server are bound to: its row, for a name may come to be another server's."""
    return f"secrets of server {server_id} of tenant {tenant_id}"


def grant_owner(tenant_id: int, server_id: int) -> str:
    """What the OAuth tokens of a server are bound to."""
    return f"tokens of server {server_id} of tenant {tenant_id}"


class SealedTexts:
    """Seals anew what is sealed in another way than texts are sealed now, while the gateway runs."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def adopt_from_0_1(self) -> None:
        """Bind to its row what 0.1 had bound to a server's slug; what cannot be opened stays as it is."""
        for row in await self._database.fetch("servers_of_0_1"):
            try:
                await self._reseal(row, self._vault.open_as_in_0_1, _owners_in_0_1(row))
            except SettingsError as error:
                logger.warning("Server %s of tenant %s: %s", row["id"], row["tenant_id"], error)
                continue
            await self._database.execute("adopt_server_of_0_1", row["tenant_id"], row["id"])

    async def reseal(self) -> tuple[int, int]:
        """Seal with the key in force whatever another has sealed; the number of servers done, and of those that none
        of the keys opens.
        """
        done = failed = last = 0
        while rows := await self._database.fetch("servers_sealed_otherwise", self._vault.header, last, _AT_ONCE):
            for row in rows:
                try:
                    await self._reseal(row, self._vault.open, _owners(row))
                except SettingsError:
                    failed += 1
                else:
                    done += 1
            last = rows[-1]["id"]
        return done, failed

    async def _reseal(self, row: Row, opened: Opener, bound_to: tuple[str, str]) -> None:
        """Both texts of a server, each for itself. Raises SettingsError where one of them cannot be opened."""
        failure: SettingsError | None = None
        for column, statement, was, owner in (
            ("sealed_secrets", "reseal_secrets", bound_to[0], _owners(row)[0]),
            ("sealed_grant", "reseal_grant", bound_to[1], _owners(row)[1]),
        ):
            sealed = row[column]
            if sealed is None or sealed.startswith(self._vault.header):
                continue
            try:
                anew = self._vault.seal(opened(sealed, was), owner)
            except SettingsError as error:
                failure = error
                continue
            # Where somebody else has changed it meanwhile, it is sealed with the key in force already.
            await self._database.execute(statement, row["tenant_id"], row["id"], sealed, anew)
        if failure is not None:
            raise failure


def _owners(row: Row) -> tuple[str, str]:
    return secrets_owner(row["tenant_id"], row["id"]), grant_owner(row["tenant_id"], row["id"])


def _owners_in_0_1(row: Row) -> tuple[str, str]:
    tenant_id = row["tenant_id"]
    return f"server {row['slug']} of tenant {tenant_id}", f"grant of server {row['id']} of tenant {tenant_id}"
