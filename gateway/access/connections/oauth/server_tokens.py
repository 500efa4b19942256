"""Tokens of persons at servers: requested once for all who wait for one, used while they hold, and given back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.access.connections.oauth.issued_tokens import IssuedTokens
from gateway.access.connections.oauth.token_requests import TokenRequests
from gateway.access.connections.source import PersonAtServer
from gateway.errors import UpstreamError
from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.oauth.authorization_servers import AuthorizationServers
from gateway.upstream.oauth.token_response import IssuedToken
from gateway.upstream.policy import ConnectionPolicy

logger = logging.getLogger(__name__)


class ServerTokens:
    """Tokens by person, server, and the purpose that tells one of a person from another. None is stored: each can be
    had again at any time.
    """

    def __init__(self, servers: AuthorizationServers, requests: TokenRequests) -> None:
        self._servers = servers
        self._requests = requests
        self._tokens = IssuedTokens()

    async def get(
        self, at: PersonAtServer, purpose: str, asked_as: Any, request: Callable[[], Awaitable[IssuedToken]]
    ) -> IssuedToken:
        """The token that was asked for as `asked_as` says, or what `request` brings. Raises what that raises, and
        UpstreamUnavailableError where it takes too long.
        """
        key = (*at.connection_key, purpose)

        async def fetch() -> IssuedToken:
            issued = await request()
            self._tokens.store(key, asked_as, issued)
            return issued

        issued = self._tokens.get(key, asked_as)
        if issued is not None:
            return issued
        return await self._requests.run(at.spec.name, at.connection_key, purpose, fetch)

    def refuse(self, at: PersonAtServer, purpose: str, asked_as: Any, refused: PersonCredential) -> None:
        """A server did not take `refused`: where that is the token of now, it is not used again."""
        key = (*at.connection_key, purpose)
        issued = self._tokens.get(key, asked_as)
        if issued is not None and bearer_headers(issued.token) == refused.headers:
            self._tokens.remove(key)

    async def revoke(self, at: PersonAtServer, issuer: str, client: TokenClient, policy: ConnectionPolicy) -> None:
        """Give back to `issuer` all tokens of a person at a server; one that it does not take is told of in the log."""
        for issued in self._tokens.pop_all(*at.connection_key):
            try:
                async with self._servers.open(at.spec.name, issuer, client, policy) as endpoint:
                    await endpoint.revoke(issued.token, "access_token")
            except UpstreamError as error:
                logger.warning("A token of a person was not revoked: %s", error.message)


def bearer_headers(token: str) -> dict[str, str]:
    """What a request with an OAuth token carries (RFC 6750)."""
    return {"Authorization": f"Bearer {token}"}
