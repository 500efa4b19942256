"""The authorization servers that tokens of persons come from: asked often, for many persons, in the gateway's name."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import httpx2
from cachetools import LRUCache, TTLCache

from gateway.errors import UpstreamUnavailableError
from gateway.upstream.credentials.credential import ClientCertificate, build_tls_context
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.oauth.discovery import AuthorizationServerMetadata, OAuthHttpClient, open_oauth_client
from gateway.upstream.oauth.token_endpoint import TokenEndpoint
from gateway.upstream.policy import ConnectionPolicy

_KNOWN_SERVERS = 256
_METADATA_SECONDS = 3600.0


class AuthorizationServers:
    """Opens token endpoints. What an authorization server publishes is fetched once an hour, not for each person."""

    def __init__(self) -> None:
        self._metadata: TTLCache[tuple[str, ConnectionPolicy], AuthorizationServerMetadata] = TTLCache(
            _KNOWN_SERVERS, _METADATA_SECONDS, time.monotonic
        )
        # To build one takes longer than many a request.
        self._tls: LRUCache[ClientCertificate | None, ssl.SSLContext] = LRUCache(_KNOWN_SERVERS)

    @asynccontextmanager
    async def open(
        self, server: str, issuer: str, client: TokenClient, policy: ConnectionPolicy
    ) -> AsyncIterator[TokenEndpoint]:
        """The token endpoint of the authorization server called `issuer`, as `client`, while the context is open.

        Failures are told in the name of `server`. Raises UpstreamUnavailableError.
        """
        refusal = policy.url_refusal(issuer)
        if refusal is not None:
            raise UpstreamUnavailableError(
                server,
                f"The authorization server of {server} is not asked: {refusal}; correct its address or the guards.",
            )
        # The issuer is what an admin typed, and the one host that need not be https.
        async with self.connect(server, issuer, policy, client.tls_certificate) as http:
            known = self._metadata.get((issuer, policy))
            if known is None:
                known = self._metadata[issuer, policy] = await http.fetch_metadata(issuer)
            supported = known.token_endpoint_auth_methods_supported or ["client_secret_basic"]
            if client.method == "client_secret_basic" and client.method not in supported:
                client = replace(client, method="client_secret_post")
            yield TokenEndpoint(server, http, known, client)

    def connect(
        self, server: str, url: str, policy: ConnectionPolicy, certificate: ClientCertificate | None = None
    ) -> AbstractAsyncContextManager[OAuthHttpClient]:
        """A client for the authorization server of the MCP server called `server` at `url`, showing `certificate`."""
        return open_oauth_client(server, url, policy, self._tls_context(certificate))

    def _tls_context(self, certificate: ClientCertificate | None) -> ssl.SSLContext:
        context = self._tls.get(certificate)
        if context is None:
            context = self._tls[certificate] = build_tls_context(certificate) or httpx2.create_ssl_context()
        return context
