"""What a trusted proxy says of a request: the client's address, and the scheme, host and path that it asked for."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge.address_counts import AddressCounts
from gateway.edge.refusals import Refusals
from gateway.edge.root_path import ROOT_PATH, is_root_path
from gateway.edge.trusted_proxies import TrustedProxies

_FOR, _SCHEME, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
_PREFIX = b"x-forwarded-prefix"
_SCHEMES = ("http", "https")

IS_FORWARDED = "modelgate.is_forwarded"
"""Set in the scope of a request whose headers, believed or not, say that somebody else sent it."""


VIA_TRUSTED_PROXY = "modelgate.via_trusted_proxy"
"""Set in the scope of a request that came over the connection of such a proxy: its headers are the proxy's word."""


class ForwardedHeaders:
    """ASGI middleware that takes it over where the connection is of such a proxy, and takes it away where it is not:
    nothing behind it comes upon what anybody may write. Of a client behind a proxy its requests are counted, whose
    connections are the proxy's.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies, counts: AddressCounts, refusals: Refusals) -> None:
        """`counts` are of requests under way by client; those that are too many are counted in `refusals`."""
        self._app = app
        self._proxies = proxies
        self._counts = counts
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        resolved = self._resolved(scope)
        if resolved.get("client") == scope.get("client"):
            await self._app(resolved, receive, send)
            return
        address = resolved["client"][0]
        if not self._counts.open(address):
            status = HTTPStatus.TOO_MANY_REQUESTS
            self._refusals.count(status)
            refused = PlainTextResponse(
                "Too many requests of this address are under way.", status, headers={"Retry-After": "1"}
            )
            await refused(resolved, receive, send)
            return
        try:
            await self._app(resolved, receive, send)
        finally:
            self._counts.close(address)

    def _resolved(self, scope: Scope) -> Scope:
        client = scope.get("client")
        if client is not None and self._proxies.trusts(client[0]):
            scope = {**scope, VIA_TRUSTED_PROXY: True}
        forwarded: dict[bytes, list[bytes]] = {}
        headers = []
        for name, value in scope["headers"]:
            if name in (_FOR, _SCHEME, _HOST, _PREFIX):
                forwarded.setdefault(name, []).append(value)
            else:
                headers.append((name, value))
        if not forwarded:
            return scope
        resolved = {**scope, "headers": headers, IS_FORWARDED: True}
        if client is None or VIA_TRUSTED_PROXY not in scope:
            return resolved
        if addresses := _joined(forwarded, _FOR):
            address = self._proxies.client_of(client[0], addresses)
            resolved["client"] = (address, client[1] if address == client[0] else 0)
        # Of several the last is the word of the nearest proxy, which is the one that is trusted.
        scheme = _joined(forwarded, _SCHEME).rpartition(",")[2].strip().lower()
        if scheme in _SCHEMES:
            resolved["scheme"] = scheme
        host = _joined(forwarded, _HOST).rpartition(",")[2].strip()
        if host:
            others = [(name, value) for name, value in headers if name != b"host"]
            resolved["headers"] = [(b"host", host.encode("latin-1")), *others]
        prefix = _joined(forwarded, _PREFIX).rpartition(",")[2].strip().rstrip("/")
        if is_root_path(prefix):
            resolved[ROOT_PATH] = prefix
        return resolved


def _joined(forwarded: dict[bytes, list[bytes]], name: bytes) -> str:
    return b",".join(forwarded.get(name, ())).decode("latin-1")
