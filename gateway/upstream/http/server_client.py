"""HTTP requests to one server's address, with failures told in the server's name."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import anyio
import httpx2

from gateway.bounded_http_client import limit_decompression, read_bounded, trusted_authorities
from gateway.errors import (
    InvalidInputError,
    UpstreamError,
    UpstreamHttpError,
    UpstreamProtocolError,
    UpstreamUnavailableError,
)
from gateway.masking import url_without_secrets
from gateway.upstream.credentials.credential import authorization_headers, build_tls_context
from gateway.upstream.http.guarded_backend import guard_connections
from gateway.upstream.http.plain_http import PlainHttpTransport, supports_url
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import message_too_large_error

_MAX_REDIRECTS = 5
_SAID_BYTES = 4096
_WRITE_SECONDS = 30.0
# Below the five seconds after which common servers close an idle connection: a request sent at that instant is lost.
_KEEPALIVE_SECONDS = 4.0

EVENT_STREAM_TYPE = "text/event-stream"
JSON_TYPE = "application/json"


class ServerHttpClient:
    """The HTTP client of one server. Redirects are followed within its origin only, for which its headers are meant."""

    def __init__(self, spec: ServerSpec, max_message_bytes: int, auth: httpx2.Auth | None) -> None:
        """`auth` signs requests whose credential has to be fetched first.

        Raises UpstreamUnavailableError for an address or headers that cannot be used."""
        self._name = spec.name
        self._person = spec.person
        self._max_message_bytes = max_message_bytes
        self._connect_timeout = spec.connect_timeout
        try:
            self._url = self._address(httpx2.URL(spec.url or ""))
            plain = PlainHttpTransport(spec.connect_timeout, _KEEPALIVE_SECONDS, spec.max_calls, spec.policy, spec.name)
            self._client = httpx2.AsyncClient(
                headers={
                    "Accept-Encoding": "gzip, deflate",
                    **spec.headers,
                    **authorization_headers(spec.credential),
                },
                auth=auth,
                verify=build_tls_context(spec.certificate) or trusted_authorities(),
                # For this host alone: an authorization server may need TLS, or the proxy of the environment.
                mounts={f"http://{self._url.netloc.decode()}": plain} if supports_url(self._url) else None,
                timeout=httpx2.Timeout(None, connect=spec.connect_timeout, write=_WRITE_SECONDS),
                limits=httpx2.Limits(
                    max_connections=None, max_keepalive_connections=spec.max_calls, keepalive_expiry=_KEEPALIVE_SECONDS
                ),
                follow_redirects=False,
            )
        except (httpx2.InvalidURL, InvalidInputError, ValueError, TypeError):
            raise UpstreamUnavailableError(
                spec.name, f"Server {spec.name} has an address or headers that cannot be used; correct them."
            ) from None
        guard_connections(self._client, spec.policy, spec.name)
        # Who signs in goes through the client, and whatever is not plain HTTP.
        signs_in = self._client.auth is not None or self._url.userinfo
        self._plain = plain if supports_url(self._url) and not signs_in else None
        self._default_headers = dict(self._client.headers)
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise UpstreamUnavailableError(
                spec.name, f"Server {spec.name} has an address that is not http:// or https://; correct it."
            )
        reason = spec.policy.url_refusal(str(self._url))
        if reason is not None:
            raise UpstreamUnavailableError(
                spec.name, f"Server {spec.name} is not connected: {reason}; correct its address or the guards."
            )

    @property
    def display_url(self) -> str:
        """The address without what may be secret in it."""
        return url_without_secrets(str(self._url))

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._client.aclose()

    def resolve_url(self, reference: str) -> httpx2.URL | None:
        """`reference` as an address of this origin; None where it leads elsewhere."""
        try:
            url = self._url.join(reference)
        except (httpx2.InvalidURL, ValueError):
            return None
        return url if _origin(url) == _origin(self._url) else None

    @asynccontextmanager
    async def request(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None, url: httpx2.URL | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """The response to a request to `url`, or to the server's own address; its body is not read yet.

        Raises UpstreamUnavailableError where the server cannot be reached, redirects elsewhere, or breaks off while the
        body is read inside the context; UpstreamProtocolError where what it sends is not HTTP.
        """
        try:
            response = await self._send_following_redirects(method, headers, body, url)
            try:
                limit_decompression(response)
                yield response
            finally:
                await response.aclose()
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, UnicodeError) as error:
            raise self._upstream_error(error) from None

    async def read_body(self, response: httpx2.Response) -> bytes:
        """The whole body. Raises UpstreamProtocolError above the limit for one message."""
        body = await read_bounded(response, self._max_message_bytes)
        if body is None:
            raise message_too_large_error(self._name, self._max_message_bytes)
        return body

    def read_events(self, response: httpx2.Response) -> httpx2.EventSource:
        """The body as server-sent events, each at most one message in size.

        Raises UpstreamProtocolError for a body of another kind, and as it is read, within `request`, for a larger one.
        """
        if response.headers.get("content-type", "").partition(";")[0].strip().lower() != EVENT_STREAM_TYPE:
            raise self.not_mcp_error("sent a broken event stream")
        if (response.charset_encoding or "utf-8").lower() in ("utf-8", "utf8"):
            # A byte order mark at its beginning is no part of a stream.
            response.encoding = "utf-8-sig"
        lines = cast("httpx2.Response", _PromptLines(response))
        return httpx2.EventSource(lines, max_event_size=self._max_message_bytes)

    async def response_error(self, response: httpx2.Response) -> UpstreamHttpError:
        """What an error response without a message means; of its body only the beginning is read."""
        pieces: list[bytes] = []
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            if sum(map(len, pieces)) >= _SAID_BYTES:
                break
        return self.status_error(response.status_code, b"".join(pieces))

    def status_error(self, status: int, said: bytes = b"") -> UpstreamHttpError:
        """What an HTTP error status without a message means, and what was `said` with it."""
        if status in (401, 403):
            reason = f"refused the gateway's credentials (HTTP {status}); correct them"
        elif status == 404:
            reason = "has nothing at its address (HTTP 404); correct the address"
        else:
            reason = f"answered with HTTP status {status}; look into its own log"
        return UpstreamHttpError(
            self._name, f"Server {self._name} {reason}.", status, said[:_SAID_BYTES].decode(errors="replace")
        )

    def not_mcp_error(self, what: str) -> UpstreamProtocolError:
        return UpstreamProtocolError(self._name, f"Server {self._name} {what}, which is not MCP; check its address.")

    async def _send_following_redirects(
        self, method: str, headers: Mapping[str, str], body: bytes | None, url: httpx2.URL | None
    ) -> httpx2.Response:
        if self._person is not None:
            credential = self._person.value
            headers = {**headers, **{name.lower(): value for name, value in credential.headers.items()}}
            if credential.query:
                url = (url or self._url).copy_merge_params(dict(credential.query))
        if self._plain is not None:
            # The client's own way to the same transport costs more than the rest of a call.
            merged = {**self._default_headers, **headers}
            request = httpx2.Request(method, url or self._url, headers=merged, content=body)
            response = await self._plain.handle_async_request(request)
            # As the client does, for an event stream asks for it.
            response.request = request
            if not response.has_redirect_location:
                return response
            await response.aclose()
        address = self._address(url or self._url)
        request = self._client.build_request(method, address, headers=dict(headers), content=body)
        for _ in range(_MAX_REDIRECTS):
            response = await self._client.send(request, stream=True)
            following = response.next_request
            if following is None:
                return response
            await response.aclose()
            if (
                following.method != method
                or _origin(following.url) != _origin(request.url)
                or following.url.userinfo != request.url.userinfo
            ):
                where = url_without_secrets(str(following.url))
                raise UpstreamHttpError(
                    self._name,
                    f"Server {self._name} redirects to {where}; set that as its address if it is meant.",
                    response.status_code,
                )
            request = following
        raise UpstreamUnavailableError(
            self._name, f"Server {self._name} redirects in a circle at {self.display_url}; correct its address."
        )

    def _address(self, url: httpx2.URL) -> httpx2.URL:
        """Without user and password where a person is let in: they would be sent in place of the credential."""
        return url.copy_with(userinfo=b"") if self._person is not None and url.userinfo else url

    def _upstream_error(self, error: Exception) -> UpstreamError:
        name, where = self._name, self.display_url
        if isinstance(error, httpx2.ConnectTimeout):
            return UpstreamUnavailableError(
                name,
                f"Server {name} at {where} takes no connection within {self._connect_timeout:.3g} s; "
                "check that it runs.",
            )
        if isinstance(error, httpx2.ConnectError):
            untrusted = _is_caused_by(error, ssl.SSLCertVerificationError)
            trust = " (its TLS certificate is not trusted)" if untrusted else ""
            return UpstreamUnavailableError(
                name,
                f"Server {name} cannot be reached at {where}{trust}; check that it runs and that the address is right.",
            )
        if isinstance(error, httpx2.SSEError):
            # `read_events` has seen to the other thing that the parser refuses, another content type.
            return message_too_large_error(name, self._max_message_bytes)
        if isinstance(error, (httpx2.RemoteProtocolError, httpx2.NetworkError, httpx2.TimeoutException)):
            return UpstreamUnavailableError(
                name, f"Server {name} broke off the connection before it had answered; try again."
            )
        return self.not_mcp_error("sent an answer that cannot be read")


class _PromptLines:
    """A response of events in which a line that ends in a carriage return has ended.

    The parser waits for what follows it, which may be a line feed that belongs to it, or nothing for a long time.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.headers = response.headers
        self.request = response.request

    async def aiter_text(self) -> AsyncIterator[str]:
        ended = False
        async for text in self._response.aiter_text():
            rest = text.removeprefix("\n") if ended else text
            ended = rest.endswith("\r")
            if rest:
                yield rest.replace("\r\n", "\n").replace("\r", "\n") if "\r" in rest else rest


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _is_caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False
