"""Host and Origin: a page of another site must not reach a gateway on this machine through the browser."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from mcp_types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.responses import Response

from gateway.downstream.oneshot import failure
from gateway.settings import ServerSettings

_LOOPBACK_NAMES = {"localhost"}


class OriginGuard:
    """Lets through loopback, the address listened on, and what `server.allowed_hosts` and `allowed_origins` name.

    An entry is a host, with `:port` for that port only, or `*` for any.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._hosts = {host.lower() for host in settings.allowed_hosts} | {settings.host.lower()}
        self._origins = {origin.lower().rstrip("/") for origin in settings.allowed_origins}

    def refusal(self, headers: Headers) -> Response | None:
        """421 for a host that is not this gateway's, 403 for a foreign origin, None where all is well."""
        refused = self.refusal_of_host(headers)
        if refused is not None:
            return refused
        origin = headers.get("origin")
        if origin is None:
            return None
        try:
            host = urlsplit(origin.lower()).netloc
        except ValueError:
            host = ""
        if origin.lower() in self._origins or "*" in self._origins or (host and self._is_ours(host)):
            return None
        return failure(
            None,
            INVALID_REQUEST,
            "The Origin header names another site; add it to server.allowed_origins to let its pages in.",
            status=403,
        )

    def refusal_of_host(self, headers: Headers) -> Response | None:
        """421 for a host that is not this gateway's, None where all is well."""
        if self._is_ours(headers.get("host", "").lower()):
            return None
        return failure(
            None,
            INVALID_REQUEST,
            "The Host header names another host; add it to server.allowed_hosts if this gateway answers to it.",
            status=421,
        )

    def _is_ours(self, host: str) -> bool:
        if "*" in self._hosts or host in self._hosts:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._hosts or name in _LOOPBACK_NAMES or _is_loopback(name)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
