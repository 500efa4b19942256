"""Host and Origin: a page of another site must not reach a gateway on this machine through the browser."""

from __future__ import annotations

from mcp_types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.responses import Response

from gateway.access.allowed_hosts import AllowedHosts
from gateway.downstream.jsonrpc import error_response
from gateway.settings import ServerSettings


class OriginGuard:
    """Lets through loopback, the address listened on, and what `server.allowed_hosts` and `allowed_origins` name.

    An entry is a host, with `:port` for that port only, or `*` for any.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._hosts = AllowedHosts(settings)
        self._origins = {origin.lower().rstrip("/") for origin in settings.allowed_origins}

    def check(self, headers: Headers) -> Response | None:
        """421 for a host that is not this gateway's, 403 for a foreign origin, None where all is well."""
        refused = self.check_host(headers)
        if refused is not None:
            return refused
        origin = headers.get("origin")
        if origin is None:
            return None
        host = origin.lower().partition("://")[2]
        if origin.lower() in self._origins or "*" in self._origins or (host and self._hosts.allows(host)):
            return None
        return error_response(
            None,
            INVALID_REQUEST,
            "The Origin header names another site; add it to server.allowed_origins to let its pages in.",
            status=403,
        )

    def check_host(self, headers: Headers) -> Response | None:
        """421 for a host that is not this gateway's, None where all is well."""
        if self._hosts.allows(headers.get("host", "").lower()):
            return None
        return error_response(
            None,
            INVALID_REQUEST,
            "The Host header names another host; add it to server.allowed_hosts if this gateway answers to it.",
            status=421,
        )
