"""As whom the gateway is registered at the authorization servers of servers: once for a server, not for each person."""

from __future__ import annotations

from dataclasses import asdict

from gateway.access.connections.resealing import reseal_rows
from gateway.database.pool import Database
from gateway.errors import SettingsError
from gateway.upstream.credentials.oauth_grant import OAuthClient
from gateway.vault import Vault


class OAuthRegistrations:
    """Registrations by server (RFC 7591), sealed, each bound to its row."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def get(self, tenant_id: int, server_id: int) -> OAuthClient | None:
        """As whom the gateway was registered last; None where it was not, or that cannot be opened any more."""
        row = await self._database.fetchrow("oauth_registration", tenant_id, server_id)
        if row is None:
            return None
        try:
            return OAuthClient(**self._vault.open(row["sealed"], _owner(tenant_id, server_id)))
        except SettingsError:
            return None

    async def save(self, tenant_id: int, server_id: int, client: OAuthClient) -> None:
        """The next person uses this registration, too."""
        sealed = self._vault.seal(asdict(client), _owner(tenant_id, server_id))
        await self._database.execute("save_oauth_registration", tenant_id, server_id, sealed)

    async def forget(self, tenant_id: int, server_id: int) -> None:
        """The authorization server knows it no longer: the next person has the gateway register anew."""
        await self._database.execute("delete_oauth_registration", tenant_id, server_id)

    async def reseal(self) -> tuple[int, int]:
        """Seal with the key in force whatever another has sealed; how many were, and how many no key opens."""
        return await reseal_rows(
            self._database,
            self._vault,
            "oauth_registrations_sealed_otherwise",
            "reseal_oauth_registration",
            ("tenant_id", "server_id"),
            lambda row: _owner(row["tenant_id"], row["server_id"]),
        )


def _owner(tenant_id: int, server_id: int) -> str:
    return f"registration at server {server_id} of tenant {tenant_id}"
