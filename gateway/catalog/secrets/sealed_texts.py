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


def personal_owner(tenant_id: int, server_id: int) -> str:
    """What the kind of personal credentials of a server is bound to, with all that goes with it."""
    return f"personal credentials of server {server_id} of tenant {tenant_id}"


def approval_owner(tenant_id: int, approval_id: str) -> str:
    """What the arguments and the result of a call that waited for approval are bound to."""
    return f"arguments of approval {approval_id} of tenant {tenant_id}"


def guard_owner(tenant_id: int, name: str) -> str:
    """What the secret of a guard's webhook is bound to."""
    return f"secret of guard {name} of tenant {tenant_id}"


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
                    await self._reseal_personal(row)
                except SettingsError:
                    failed += 1
                else:
                    done += 1
            last = rows[-1]["id"]
        await self._reseal_approvals()
        await self._reseal_guards()
        return done, failed

    async def _reseal_guards(self) -> None:
        """Secrets of webhooks that judge; one that no key opens has to be given anew."""
        last = 0
        while rows := await self._database.fetch("guard_secrets_sealed_otherwise", self._vault.header, last, _AT_ONCE):
            for row in rows:
                owner = guard_owner(row["tenant_id"], row["name"])
                try:
                    anew = self._vault.seal(self._vault.open(row["sealed_secret"], owner), owner)
                except SettingsError as error:
                    logger.warning("Guard %s of tenant %s: %s", row["name"], row["tenant_id"], error)
                    continue
                await self._database.execute(
                    "reseal_guard_secret", row["tenant_id"], row["id"], row["sealed_secret"], anew
                )
            last = rows[-1]["id"]

    async def _reseal_approvals(self) -> None:
        """Arguments and results of calls that waited for approval; what no key opens is of no use any more."""
        place = (0, "")
        while rows := await self._database.fetch("approvals_sealed_otherwise", self._vault.header, *place, _AT_ONCE):
            for row in rows:
                owner = approval_owner(row["tenant_id"], row["id"])
                sealed = (row["arguments"], row["result"])
                try:
                    anew = [each and self._vault.seal(self._vault.open(each, owner), owner) for each in sealed]
                except SettingsError as error:
                    logger.warning("Approval %s of tenant %s: %s", row["id"], row["tenant_id"], error)
                    continue
                await self._database.execute(
                    "reseal_approval", row["tenant_id"], row["id"], sealed[0], anew[0], sealed[1], anew[1]
                )
            place = (rows[-1]["tenant_id"], rows[-1]["id"])

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

    async def _reseal_personal(self, row: Row) -> None:
        sealed, owner = row["sealed_personal"], personal_owner(row["tenant_id"], row["id"])
        if sealed is not None and not sealed.startswith(self._vault.header):
            anew = self._vault.seal(self._vault.open(sealed, owner), owner)
            await self._database.execute("reseal_personal", row["tenant_id"], row["id"], sealed, anew)


def _owners(row: Row) -> tuple[str, str]:
    return secrets_owner(row["tenant_id"], row["id"]), grant_owner(row["tenant_id"], row["id"])


def _owners_in_0_1(row: Row) -> tuple[str, str]:
    tenant_id = row["tenant_id"]
    return f"server {row['slug']} of tenant {tenant_id}", f"grant of server {row['id']} of tenant {tenant_id}"
