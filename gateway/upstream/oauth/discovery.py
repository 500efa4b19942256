"""Finding the authorization server of an MCP server, from what that server publishes."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    create_oauth_metadata_request,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    get_client_metadata_scopes,
    handle_protected_resource_response,
    issuers_match,
)
from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import AnyHttpUrl, Field, ValidationError

from gateway.bounded_http_client import BoundedHttpClient
from gateway.errors import UpstreamUnavailableError
from gateway.masking import url_without_secrets
from gateway.upstream.http.guarded_backend import guard_connections
from gateway.upstream.policy import ConnectionPolicy

EndpointName: TypeAlias = Literal["token_endpoint", "revocation_endpoint"]

_REQUEST_SECONDS = 10.0


class AuthorizationServerMetadata(OAuthMetadata):
    """What an authorization server says of itself (RFC 8414), and where clients with certificates go (RFC 8705)."""

    mtls_endpoint_aliases: dict[str, AnyHttpUrl] = Field(default_factory=dict)

    def endpoint(self, name: EndpointName, *, mutual_tls: bool = False) -> str:
        """The address of an endpoint; empty where there is none."""
        address = self.mtls_endpoint_aliases.get(name) if mutual_tls else None
        address = address or getattr(self, name)
        return "" if address is None else str(address)


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """The authorization server of an MCP server, the resource to name to it, and the scopes to ask for."""

    metadata: AuthorizationServerMetadata
    resource: str
    scope: str

    @property
    def issuer(self) -> str:
        return str(self.metadata.issuer)


class OAuthHttpClient:
    """Requests to the authorization server of one server, and what it publishes.

    The server names the addresses; they have to be `https`, or on the server's own host: a token is not sent in the
    clear over a network, and the gateway is not sent to other hosts of its own network.
    """

    def __init__(self, server: str, url: str, client: httpx2.AsyncClient) -> None:
        self._server = server
        self._url = url
        self._client = client

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """The response, its body read; redirects are not followed. Raises UpstreamUnavailableError."""
        shown = url_without_secrets(str(request.url))
        if request.url.scheme != "https" and request.url.host != urlsplit(self._url).hostname:
            raise UpstreamUnavailableError(
                self._server,
                f"Server {self._server} names an authorization server without https, {shown}; "
                "tokens are not sent there.",
            )
        try:
            return await self._client.send(request)
        except httpx2.DecodingError as error:
            raise self._unusable(f"at {shown} {error}") from None
        except httpx2.HTTPError:
            raise UpstreamUnavailableError(
                self._server,
                f"The authorization server of {self._server} does not answer at {shown}; check that it runs.",
            ) from None

    async def request_challenge(self) -> httpx2.Response:
        """How the server answers somebody without credentials."""
        return await self.send(httpx2.Request("POST", self._url, headers={"Accept": "application/json"}, json={}))

    async def discover(self, challenge: httpx2.Response | None, issuer: str = "") -> AuthorizationServer:
        """The authorization server, as the specification of 2025-11-25 and later says (RFC 9728, RFC 8414).

        With `issuer`, only that one will do, and its metadata is what it publishes itself: what the server says of it
        counts for nothing. Raises UpstreamUnavailableError where none is found.
        """
        try:
            resource = await self._fetch_protected_resource(challenge)
            metadata = await self._fetch_metadata(self._choose_issuer(resource, issuer))
        except OAuthFlowError as error:
            raise self._unusable(str(error)) from None
        own = resource_url_from_server_url(self._url)
        named = str(resource.resource) if resource is not None else own
        asked = extract_scope_from_www_auth(challenge) if challenge is not None else None
        return AuthorizationServer(
            metadata=metadata,
            resource=named if check_resource_allowed(own, named) else own,
            scope=get_client_metadata_scopes(asked, resource, metadata, ["authorization_code", "refresh_token"]) or "",
        )

    async def _fetch_protected_resource(self, challenge: httpx2.Response | None) -> ProtectedResourceMetadata | None:
        named = extract_resource_metadata_from_www_auth(challenge) if challenge is not None else None
        for url in build_protected_resource_metadata_discovery_urls(named, self._url):
            response = await self.send(create_oauth_metadata_request(url))
            if response.status_code >= 500 or response.status_code == 429:
                raise OAuthFlowError(f"its metadata is answered with HTTP {response.status_code}")
            found = await handle_protected_resource_response(response)
            if found is None:
                continue
            if not check_resource_allowed(resource_url_from_server_url(self._url), str(found.resource)):
                raise OAuthFlowError(f"its metadata is for another resource, {found.resource}")
            return found
        return None

    def _choose_issuer(self, resource: ProtectedResourceMetadata | None, issuer: str) -> str | None:
        """Whose metadata counts; None where that is the server's own, as the specification of 2025-03-26 has it."""
        if resource is None:
            return issuer or None
        advertised = [str(server) for server in resource.authorization_servers]
        if not issuer:
            return advertised[0]
        if not any(issuers_match(server, issuer) for server in advertised):
            raise OAuthFlowError(f"it is {advertised[0]}, and the credentials are for {issuer}")
        return issuer

    async def fetch_metadata(self, issuer: str) -> AuthorizationServerMetadata:
        """What the authorization server called `issuer` publishes of itself. Raises UpstreamUnavailableError."""
        try:
            return await self._fetch_metadata(issuer)
        except OAuthFlowError as error:
            raise self._unusable(str(error)) from None

    async def _fetch_metadata(self, issuer: str | None) -> AuthorizationServerMetadata:
        for url in build_oauth_authorization_server_metadata_discovery_urls(issuer, self._url):
            response = await self.send(create_oauth_metadata_request(url))
            if response.status_code >= 500:
                break
            metadata = _read_metadata(response)
            if metadata is not None:
                # RFC 8414, section 3.3: metadata of any other issuer than the one asked for must not be used.
                expected = issuer or _origin(self._url)
                if not issuers_match(str(metadata.issuer), expected):
                    raise OAuthFlowError(f"the metadata at {url} is of {metadata.issuer}, not of {expected}")
                return metadata
        raise OAuthFlowError("it publishes no metadata")

    def _unusable(self, why: str) -> UpstreamUnavailableError:
        return UpstreamUnavailableError(
            self._server, f"The authorization server of {self._server} cannot be used: {why}; check its address."
        )


@asynccontextmanager
async def open_oauth_client(
    server: str, url: str, policy: ConnectionPolicy, tls: ssl.SSLContext | None = None
) -> AsyncIterator[OAuthHttpClient]:
    """A client for the authorization server of the MCP server called `server` at `url`, open while the context is.

    It connects where `policy` lets it, and where it is https by `tls`.
    """
    async with BoundedHttpClient(total_seconds=_REQUEST_SECONDS, verify=tls or True) as client:
        guard_connections(client, policy, server)
        yield OAuthHttpClient(server, url, client)


def _read_metadata(response: httpx2.Response) -> AuthorizationServerMetadata | None:
    """The metadata of a response; None where it has none, and another address may."""
    if response.status_code != 200:
        return None
    try:
        return AuthorizationServerMetadata.model_validate_json(response.content)
    except ValidationError:
        return None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
