"""Tokens of servers in exchange for the access token that a person calls the gateway with."""

from __future__ import annotations

import hashlib

from cachetools import LRUCache

from gateway.access.connections.oauth.claims import rights_digest
from gateway.access.connections.oauth.refusals import exchange_refusal
from gateway.access.connections.oauth.server_tokens import ServerTokens, bearer_headers
from gateway.access.connections.source import PersonAtServer
from gateway.errors import CallerTokenNeededError, GrantRefusedError, UpstreamUnavailableError
from gateway.upstream.credentials.delegation import PersonalExchange
from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.oauth.authorization_servers import AuthorizationServers
from gateway.upstream.oauth.token_exchange import exchange_token
from gateway.upstream.oauth.token_response import IssuedToken
from gateway.upstream.policy import DEFAULT_POLICY

_MAX_GRANTS = 20_000
# The provider of all is the operator's to name: no guard of tenants' servers holds for it.
_PROVIDER_POLICY = DEFAULT_POLICY


class ExchangeSource:
    """Exchanges tokens at `issuer`, the provider of access tokens, and stores none: the caller always brings one."""

    def __init__(self, issuer: str, servers: AuthorizationServers, tokens: ServerTokens) -> None:
        """`issuer` is empty where the gateway accepts access tokens of nobody."""
        self._issuer = issuer
        self._servers = servers
        self._tokens = tokens
        # By the digest of each token, for to read one takes longer than all else that a call needs here.
        self._grants: LRUCache[str, str] = LRUCache(_MAX_GRANTS)

    async def get(self, at: PersonAtServer) -> PersonCredential:
        kind = self._kind(at)
        if not at.token:
            raise CallerTokenNeededError(at.spec.name)
        digest = _token_digest(at)
        issued = await self._tokens.get(at, digest, kind, lambda: self._exchange(at, kind))
        grant = self._grants.get(digest)
        if grant is None:
            grant = self._grants[digest] = rights_digest(at.token)
        return PersonCredential(at.session(grant), bearer_headers(issued.token))

    async def renew(self, at: PersonAtServer, refused: PersonCredential) -> PersonCredential | None:
        self._tokens.refuse(at, _token_digest(at), self._kind(at), refused)
        return await self.get(at)

    async def revoke(self, at: PersonAtServer) -> None:
        await self._tokens.revoke(at, self._issuer, self._kind(at).client, _PROVIDER_POLICY)

    def _kind(self, at: PersonAtServer) -> PersonalExchange:
        kind = at.spec.personal
        if not isinstance(kind, PersonalExchange) or not self._issuer:
            raise UpstreamUnavailableError(
                at.spec.name,
                f"Server {at.spec.name} takes exchanged tokens, and the gateway accepts access tokens of no provider; "
                "an administrator sets oauth.issuer.",
            )
        return kind

    async def _exchange(self, at: PersonAtServer, kind: PersonalExchange) -> IssuedToken:
        name = at.spec.name
        async with self._servers.open(name, self._issuer, kind.client, _PROVIDER_POLICY) as endpoint:
            try:
                return await exchange_token(name, endpoint, kind, at.token)
            except GrantRefusedError as error:
                raise exchange_refusal(error) from None


def _token_digest(at: PersonAtServer) -> str:
    # What one client of a person may do, another may not: each token is exchanged for itself.
    return hashlib.sha256(at.token.encode()).hexdigest()
