"""Access tokens on the requests to one server: loaded, refreshed, and asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import anyio
import httpx2

from gateway.errors import GrantRefusedError, UpstreamHttpError, UpstreamUnavailableError
from gateway.upstream.credentials.credential import AuthorizationCode, ClientCredentials
from gateway.upstream.credentials.oauth_grant import LOCK_SECONDS, GrantStore, LockedGrant, OAuthClient, OAuthGrant
from gateway.upstream.oauth.discovery import OAuthHttpClient, open_oauth_client
from gateway.upstream.oauth.token_response import parse_token_response
from gateway.upstream.policy import DEFAULT_POLICY, ConnectionPolicy
from gateway.upstream.spec import ServerSpec

# Below LOCK_SECONDS: a renewal is over while its lock still holds.
_EXCHANGE_SECONDS = 40.0
# Whoever renews may have to wait for the lock of a process that died.
_RENEWAL_SECONDS = LOCK_SECONDS + _EXCHANGE_SECONDS


class OAuthTokenAuth(httpx2.Auth):
    """Authorizes requests; many at the same time share one token, and one renewal of it.

    A renewal goes on when those who wait for it are cancelled: its refresh token may be used up by then.
    """

    def __init__(
        self,
        server: str,
        url: str,
        credential: ClientCredentials | AuthorizationCode,
        store: GrantStore,
        policy: ConnectionPolicy = DEFAULT_POLICY,
    ) -> None:
        self._server = server
        self._url = url
        self._credential = credential
        self._store = store
        self._policy = policy
        self._grant: OAuthGrant | None = None
        self._renewal: asyncio.Task[OAuthGrant] | None = None

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send `request` with a token, and once more with another where the server does not take the first.

        Raises UpstreamHttpError where a person has to sign in, UpstreamUnavailableError where no token can be had.
        """
        grant = self._grant
        if grant is None:
            grant = self._grant = await self._store.load()
        if grant is not None and not grant.is_fresh:
            grant = await self._renew(grant, None)
        if grant is not None:
            request.headers["Authorization"] = f"Bearer {grant.access_token}"
        response = yield request
        if response.status_code == 401:
            await _discard_body(response)
            grant = await self._renew(grant, response)
            request.headers["Authorization"] = f"Bearer {grant.access_token}"
            yield request

    async def _renew(self, stale: OAuthGrant | None, challenge: httpx2.Response | None) -> OAuthGrant:
        """A grant other than `stale`, which was refused or is over."""
        if self._renewal is None or self._renewal.done():
            self._renewal = self._store.spawn(self._run_renewal(stale, challenge))
        renewal = self._renewal
        try:
            return await asyncio.shield(renewal)
        except asyncio.CancelledError:
            if not renewal.cancelled():
                raise
            raise UpstreamUnavailableError(
                self._server, f"The gateway is stopping; the token of {self._server} was not renewed."
            ) from None

    async def _run_renewal(self, stale: OAuthGrant | None, challenge: httpx2.Response | None) -> OAuthGrant:
        try:
            with anyio.fail_after(_RENEWAL_SECONDS):
                async with self._store.lock() as locked:
                    with anyio.fail_after(_EXCHANGE_SECONDS):
                        self._grant = await self._renew_locked(locked, stale, challenge)
                        return self._grant
        except TimeoutError:
            raise UpstreamUnavailableError(
                self._server, f"The authorization server of {self._server} takes too long to give a token; try again."
            ) from None

    async def _renew_locked(
        self, locked: LockedGrant, stale: OAuthGrant | None, challenge: httpx2.Response | None
    ) -> OAuthGrant:
        stored = await locked.load()
        if stored is not None and (stale is None or stored.access_token != stale.access_token) and stored.is_fresh:
            return stored
        async with open_oauth_client(self._server, self._url, self._policy) as http:
            grant = await self._refresh(stored, http) or await self._request_grant(challenge, http)
        if not await locked.save(grant):
            raise UpstreamUnavailableError(
                self._server, f"The sign-in of {self._server} was replaced while its token was renewed; try again."
            )
        return grant

    async def _refresh(self, grant: OAuthGrant | None, http: OAuthHttpClient) -> OAuthGrant | None:
        # A client that has a secret of its own asks anew, and has its issuer's metadata say where (RFC 6749, 4.4.3).
        if grant is None or grant.refresh_token is None or isinstance(self._credential, ClientCredentials):
            return None
        form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        response = await http.send(grant.client.token_request(form))
        try:
            return parse_token_response(self._server, grant.client, response, grant.scope, grant)
        except GrantRefusedError:
            if response.status_code >= 500 or response.status_code == 429:
                raise
            return None

    async def _request_grant(self, challenge: httpx2.Response | None, http: OAuthHttpClient) -> OAuthGrant:
        credential = self._credential
        if isinstance(credential, AuthorizationCode):
            self._grant = None
            raise UpstreamHttpError(
                self._server,
                f"Server {self._server} wants somebody to sign in; do so with modelgate servers login, "
                "or on its page of the admin.",
                401,
            )
        authority = await http.discover(challenge, credential.issuer)
        methods = authority.metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        client = OAuthClient(
            issuer=authority.issuer,
            token_endpoint=str(authority.metadata.token_endpoint),
            client_id=credential.client_id,
            client_secret=credential.client_secret,
            method="client_secret_basic" if "client_secret_basic" in methods else "client_secret_post",
            resource=authority.resource,
        )
        scope = credential.scope or authority.scope
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        return parse_token_response(self._server, client, await http.send(client.token_request(form)), scope)


def oauth_token_auth(spec: ServerSpec) -> OAuthTokenAuth | None:
    """What authorizes requests to the server of `spec`, None where its credential is not of OAuth."""
    credential = spec.credential
    if spec.grants is None or not isinstance(credential, (ClientCredentials, AuthorizationCode)):
        return None
    return OAuthTokenAuth(spec.name, spec.url or "", credential, spec.grants, spec.policy)


async def _discard_body(response: httpx2.Response) -> None:
    """What a refusal goes on to say is of no use, and httpx2 would read all of it before the next request."""
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    await response.stream.aclose()
    response.headers.pop("content-encoding", None)
    response.stream = httpx2.ByteStream(b"")
