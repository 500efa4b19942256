"""How tests ask a provider for tokens."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager

from joserfc.jwk import ECKey, RSAKey

from gateway.upstream.credentials.delegation import PersonalExchange
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.oauth.authorization_servers import AuthorizationServers
from gateway.upstream.oauth.token_endpoint import TokenEndpoint
from gateway.upstream.oauth.token_exchange import exchange_token
from gateway.upstream.oauth.token_response import IssuedToken
from gateway.upstream.policy import DEFAULT_POLICY
from tests.doubles.token_provider import RegisteredClient, TokenProvider

SECRET = "s3cret/+ ü"
BASIC = TokenClient("gateway", "client_secret_basic", SECRET)
WITH_SECRET = PersonalExchange(BASIC, audience="docs", scope="docs.read docs.write")


def endpoint_of(
    provider: TokenProvider, client: TokenClient = BASIC, servers: AuthorizationServers | None = None
) -> AbstractAsyncContextManager[TokenEndpoint]:
    """The provider's token endpoint, for requests in the name of `client`."""
    return (servers or AuthorizationServers()).open("Docs", provider.url, client, DEFAULT_POLICY)


async def exchanged(
    provider: TokenProvider, kind: PersonalExchange = WITH_SECRET, subject_token: str | None = None
) -> IssuedToken:
    """What the provider gives for the access token of ada, or for `subject_token`."""
    async with endpoint_of(provider, kind.client) as endpoint:
        return await exchange_token("Docs", endpoint, kind, subject_token or provider.token())


def register(provider: TokenProvider, *audiences: str) -> None:
    """Let the gateway, which shows its secret, have tokens for `audiences`."""
    provider.exchanges.clients["gateway"] = RegisteredClient(SECRET)
    provider.exchanges.audiences |= set(audiences or ("docs",))


def key_client(key: RSAKey | ECKey, *, pem: bool = True, algorithm: str = "") -> TokenClient:
    """A client that signs with `key`."""
    text = key.as_pem(private=True).decode() if pem else key.as_dict(private=True)
    private = text if isinstance(text, str) else json.dumps(text)
    return TokenClient("gateway", "private_key_jwt", private_key=private, key_id="k1", algorithm=algorithm)
