"""Requests for tokens at one authorization server, in the name of a client that is registered there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpx2

from gateway.errors import GrantRefusedError, UpstreamUnavailableError
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.oauth.discovery import AuthorizationServerMetadata, EndpointName, OAuthHttpClient
from gateway.upstream.oauth.token_response import IssuedToken, read_token_response

# Clocks that are this near are not why an assertion was refused.
_SKEW_SECONDS = 5.0


class TokenEndpoint:
    """The token endpoint of one authorization server, and where tokens are given back."""

    def __init__(
        self, server: str, http: OAuthHttpClient, metadata: AuthorizationServerMetadata, client: TokenClient
    ) -> None:
        """`server` is the MCP server in whose name failures are told."""
        self._server = server
        self._http = http
        self._metadata = metadata
        self._client = client

    async def request(self, form: Mapping[str, str], *, bearer: bool = True) -> IssuedToken:
        """The token that `form` is granted, one that is sent as `Bearer` unless `bearer` is False.

        Raises GrantRefusedError, and UpstreamUnavailableError where the authorization server does not answer.
        """
        response = await self._post("token_endpoint", form)
        try:
            return read_token_response(self._server, response, bearer=bearer)
        except GrantRefusedError as error:
            offset = _clock_offset(response)
            if error.reason != "invalid_client" or self._client.method != "private_key_jwt":
                raise
            if abs(offset) <= _SKEW_SECONDS:
                raise
        # What was signed by our clock was not valid yet, or not any more, by theirs.
        return read_token_response(self._server, await self._post("token_endpoint", form, offset), bearer=bearer)

    async def revoke(self, token: str, kind: str) -> bool:
        """Give a token back (RFC 7009); `kind` is refresh_token or access_token. False where there is no way to.

        Raises UpstreamUnavailableError where the authorization server does not do it.
        """
        if not self._metadata.endpoint("revocation_endpoint"):
            return False
        response = await self._post("revocation_endpoint", {"token": token, "token_type_hint": kind})
        check_revoked(self._server, response)
        return True

    async def _post(self, name: EndpointName, form: Mapping[str, str], clock_offset: float = 0.0) -> httpx2.Response:
        address = self._metadata.endpoint(name, mutual_tls=self._client.tls_certificate is not None)
        audience = self._metadata.endpoint("token_endpoint")
        return await self._http.send(self._client.request(address, form, audience, clock_offset))


def check_revoked(server: str, response: httpx2.Response) -> None:
    """Raises UpstreamUnavailableError for the answer of a revocation endpoint that has not revoked (RFC 7009, 2.2)."""
    if response.status_code != 200:
        raise UpstreamUnavailableError(
            server,
            f"The authorization server of {server} did not revoke the token (HTTP {response.status_code}); "
            "withdraw the gateway's access there.",
        )


def _clock_offset(response: httpx2.Response) -> float:
    """How many seconds the clock of the server is ahead of ours; 0 where it does not say."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
