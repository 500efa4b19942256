"""Signing in at the authorization server of a server: authorization code with PKCE (RFC 7636)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from mcp.client.auth import OAuthFlowError, OAuthRegistrationError, PKCEParameters
from mcp.client.auth.utils import (
    create_client_registration_request,
    handle_registration_response,
    issuers_match,
    should_use_client_metadata_url,
    validate_authorization_response_iss,
)
from mcp.shared.auth import OAuthClientMetadata
from pydantic import AnyUrl

from gateway.errors import InvalidInputError, UpstreamUnavailableError
from gateway.upstream.credentials.credential import AuthorizationCode
from gateway.upstream.credentials.oauth_grant import OAuthClient, OAuthGrant
from gateway.upstream.oauth.discovery import (
    AuthorizationServer,
    AuthorizationServerMetadata,
    OAuthHttpClient,
    open_oauth_client,
)
from gateway.upstream.oauth.token_response import IssuedToken, grant_from_token, read_token_response
from gateway.upstream.policy import DEFAULT_POLICY, ConnectionPolicy

_CLIENT_NAME = "ModelGate"
_METHODS: tuple[Literal["none", "client_secret_basic", "client_secret_post"], ...] = (
    "none",
    "client_secret_basic",
    "client_secret_post",
)


@dataclass(frozen=True, slots=True)
class OAuthLogin:
    """A person is on their way to `url`, and comes back to the redirect URI with a code and with `state`."""

    server: str
    server_url: str
    url: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    client: OAuthClient
    metadata: AuthorizationServerMetadata = field(repr=False)
    scope: str = ""
    policy: ConnectionPolicy = field(default=DEFAULT_POLICY, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The login as plain values, to be sealed, without the policy."""
        rest = {name: getattr(self, name) for name in ("server", "server_url", "url", "state", "verifier", "scope")}
        return {**rest, "client": asdict(self.client), "metadata": self.metadata.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], policy: ConnectionPolicy) -> OAuthLogin:
        """What `to_dict` made."""
        client = OAuthClient(**values["client"])
        metadata = AuthorizationServerMetadata.model_validate(values["metadata"])
        return cls(**{**values, "client": client, "metadata": metadata}, policy=policy)


async def begin_login(
    server: str,
    server_url: str,
    credential: AuthorizationCode,
    redirect_uri: str,
    registered: OAuthClient | None,
    policy: ConnectionPolicy = DEFAULT_POLICY,
) -> OAuthLogin:
    """Find the authorization server, introduce the gateway to it, and say where the person has to go.

    `registered` is as whom the gateway was registered before, which is used again. Raises UpstreamUnavailableError.
    """
    if credential.client_secret and not credential.issuer:
        # It was stored when the server could still say where a secret goes.
        raise UpstreamUnavailableError(
            server, f"Say which issuer the client secret of {server} is for; set its credential again, with the issuer."
        )
    async with open_oauth_client(server, server_url, policy) as http:
        auth_server = await http.discover(await http.request_challenge(), credential.issuer)
        methods = auth_server.metadata.code_challenge_methods_supported
        if methods is not None and "S256" not in methods:
            raise UpstreamUnavailableError(
                server, f"The authorization server of {server} does not support PKCE with S256; it cannot be used."
            )
        client = await _oauth_client(server, http, auth_server, credential, redirect_uri, registered)
    proof = PKCEParameters.generate()
    state = secrets.token_urlsafe(32)
    scope = credential.scope or auth_server.scope
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": proof.code_challenge,
        "code_challenge_method": "S256",
        "resource": auth_server.resource,
    }
    if scope:
        query["scope"] = scope
        if "offline_access" in scope.split():
            query["prompt"] = "consent"
    endpoint = str(auth_server.metadata.authorization_endpoint)
    return OAuthLogin(
        server=server,
        server_url=server_url,
        url=f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}",
        state=state,
        verifier=proof.code_verifier,
        client=client,
        metadata=auth_server.metadata,
        scope=scope,
        policy=policy,
    )


async def finish_login(login: OAuthLogin, code: str, state: str, issuer: str | None = None) -> OAuthGrant:
    """Turn the code that the person brought back into a grant; `issuer` is the `iss` of RFC 9207.

    Raises as `redeem_code`.
    """
    return grant_from_token(login.client, await redeem_code(login, code, state, issuer), login.scope)


async def redeem_code(login: OAuthLogin, code: str, state: str, issuer: str | None = None) -> IssuedToken:
    """The token that the code is worth which the person brought back; `issuer` is the `iss` of RFC 9207.

    Raises InvalidInputError for an answer that is not to this login, GrantRefusedError where the code is not taken.
    """
    if not secrets.compare_digest(state, login.state):
        raise InvalidInputError("This answer belongs to another sign-in; begin again.")
    try:
        validate_authorization_response_iss(issuer, login.metadata)
    except OAuthFlowError:
        raise InvalidInputError("This answer comes from another authorization server; begin again.") from None
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": login.client.redirect_uri,
        "code_verifier": login.verifier,
    }
    async with open_oauth_client(login.server, login.server_url, login.policy) as http:
        response = await http.send(login.client.token_request(form))
    return read_token_response(login.server, response)


async def _oauth_client(
    server: str,
    http: OAuthHttpClient,
    auth_server: AuthorizationServer,
    credential: AuthorizationCode,
    redirect_uri: str,
    registered: OAuthClient | None,
) -> OAuthClient:
    def client(client_id: str, secret: str = "", method: str = "none") -> OAuthClient:
        return OAuthClient(
            issuer=auth_server.issuer,
            token_endpoint=str(auth_server.metadata.token_endpoint),
            client_id=client_id,
            client_secret=secret,
            method=method,
            resource=auth_server.resource,
            redirect_uri=redirect_uri,
        )

    if credential.client_id:
        methods = auth_server.metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        with_secret = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return client(
            credential.client_id, credential.client_secret, with_secret if credential.client_secret else "none"
        )
    if should_use_client_metadata_url(auth_server.metadata, credential.metadata_url):
        return client(credential.metadata_url)
    if registered is not None and registered.redirect_uri == redirect_uri:
        same_issuer = issuers_match(registered.issuer, auth_server.issuer)
        if same_issuer and registered.client_id != credential.metadata_url:
            return client(registered.client_id, registered.client_secret, registered.method)
    return await _register(server, http, auth_server, redirect_uri, client)


async def _register(
    server: str,
    http: OAuthHttpClient,
    auth_server: AuthorizationServer,
    redirect_uri: str,
    client: Callable[[str, str, str], OAuthClient],
) -> OAuthClient:
    """Register the gateway (RFC 7591)."""
    if auth_server.metadata.registration_endpoint is None:
        raise UpstreamUnavailableError(
            server,
            f"The authorization server of {server} registers no clients by itself; register one there for the "
            f"redirect URI {redirect_uri} and give its client id.",
        )
    offered = auth_server.metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
    method = next((method for method in _METHODS if method in offered), _METHODS[0])
    wanted = OAuthClientMetadata(
        client_name=_CLIENT_NAME,
        redirect_uris=[AnyUrl(redirect_uri)],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method=method,
        scope=auth_server.scope or None,
    )
    request = create_client_registration_request(auth_server.metadata, wanted, auth_server.issuer)
    try:
        registered = await handle_registration_response(await http.send(request))
    except OAuthRegistrationError:
        raise UpstreamUnavailableError(
            server,
            f"The authorization server of {server} refused to register the gateway; register a client there for the "
            f"redirect URI {redirect_uri} and give its client id.",
        ) from None
    assigned = registered.token_endpoint_auth_method or ("client_secret_basic" if registered.client_secret else "none")
    if assigned not in _METHODS or (assigned != "none" and not registered.client_secret):
        raise UpstreamUnavailableError(
            server,
            f"The authorization server of {server} registered the gateway with {assigned}, which it cannot do; "
            "register a client there and give its client id.",
        )
    return client(registered.client_id, registered.client_secret or "", assigned)
