"""The sources of credentials that are OAuth tokens of persons, built together for what they share."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.access.connections.connections import Connections
from gateway.access.connections.oauth.exchange import ExchangeSource
from gateway.access.connections.oauth.id_jag import IdJagSource
from gateway.access.connections.oauth.provider_sign_ins import ProviderSignIns
from gateway.access.connections.oauth.registrations import OAuthRegistrations
from gateway.access.connections.oauth.server_tokens import ServerTokens
from gateway.access.connections.oauth.sign_in import SignInTokenSource
from gateway.access.connections.oauth.sign_in_tokens import StoredSignInTokens
from gateway.access.connections.oauth.sign_ins import PendingSignIns
from gateway.access.connections.oauth.token_requests import TokenRequests
from gateway.access.connections.source import CredentialSource
from gateway.access.persons import Persons
from gateway.database.pool import Database
from gateway.settings import Settings
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.oauth.authorization_servers import AuthorizationServers
from gateway.upstream.policy import ConnectionPolicy
from gateway.vault import Vault


class TokenSources:
    """`sign_in` is the source for which persons sign in elsewhere; `provider_sign_ins` is told of their sign-ins here,
    and `sign_in_tokens` are what these gave.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        persons: Persons,
        connections: Connections,
        settings: Settings,
        policy: ConnectionPolicy,
    ) -> None:
        self._requests = TokenRequests()
        servers = AuthorizationServers()
        tokens = ServerTokens(servers, self._requests)
        self.sign_in_tokens = StoredSignInTokens(database, vault)
        self.provider_sign_ins = ProviderSignIns(
            database, persons, connections, self.sign_in_tokens, settings.oauth.tenant
        )
        self.sign_in = SignInTokenSource(
            persons,
            connections,
            PendingSignIns(database, vault, policy),
            OAuthRegistrations(database, vault),
            servers,
            self._requests,
        )
        secret = settings.admin.openid_client_secret
        client = TokenClient(settings.admin.openid_client_id, "client_secret_basic" if secret else "none", secret)
        self.by_kind: Mapping[str, CredentialSource] = {
            "oauth": self.sign_in,
            "exchange": ExchangeSource(settings.oauth.issuer, servers, tokens),
            "id_jag": IdJagSource(
                settings.admin.openid_issuer,
                client,
                connections,
                self.sign_in_tokens,
                servers,
                tokens,
            ),
        }

    async def aclose(self) -> None:
        """Let requests for tokens end; to be called when no call needs any, and while the database is open."""
        await self._requests.aclose()
