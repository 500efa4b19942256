"""Where a client finds out how to sign in: RFC 9728, OAuth 2.0 Protected Resource Metadata."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.downstream.protocol.authentication import METADATA_PATH, base_of, profile_of
from gateway.downstream.protocol.origin import OriginGuard
from gateway.settings import Settings

_GENERAL = "/mcp"


class ResourceMetadata:
    """Answers at `/.well-known/oauth-protected-resource`, with the path of an MCP endpoint behind it or without."""

    def __init__(self, settings: Settings) -> None:
        self._oauth = settings.oauth
        self._origins = OriginGuard(settings.server)

    async def answer(self, request: Request) -> Response:
        """The metadata of the endpoint that the path names; 404 for any other path, and without a provider."""
        # Pages of any site may read this; it is what a client in a browser begins with.
        refused = self._origins.refusal_of_host(request.headers)
        if refused is not None:
            return refused
        path = request.url.path.removeprefix(METADATA_PATH).rstrip("/") or _GENERAL
        if not self._oauth.issuer or (path != _GENERAL and not profile_of(path)):
            return JSONResponse({"error": "not_found"}, status_code=404)
        general = self._oauth.resource.rstrip("/") or f"{base_of(request.scope)}{_GENERAL}"
        return JSONResponse(
            {
                "resource": general + path.removeprefix(_GENERAL),
                "authorization_servers": [self._oauth.issuer],
                "bearer_methods_supported": ["header"],
                "resource_name": "ModelGate",
            },
            headers={"Access-Control-Allow-Origin": "*"},
        )
