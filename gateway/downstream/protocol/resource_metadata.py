"""Where a client finds out how to sign in: RFC 9728, OAuth 2.0 Protected Resource Metadata."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.downstream.protocol.authentication import METADATA_PATH, base_url, profile_from_path
from gateway.downstream.protocol.origin_guard import OriginGuard
from gateway.edge.root_path import root_path_of
from gateway.settings import Settings

_GENERAL_PATH = "/mcp"


class ResourceMetadata:
    """Answers at `/.well-known/oauth-protected-resource`, with the path of an MCP endpoint behind it or without."""

    def __init__(self, settings: Settings) -> None:
        self._oauth = settings.oauth
        self._origin_guard = OriginGuard(settings.server)

    async def answer(self, request: Request) -> Response:
        """The metadata of the endpoint that the path names; 404 for any other path, and without a provider."""
        # Pages of any site may read this; it is what a client in a browser begins with.
        refused = self._origin_guard.check_host(request.headers)
        if refused is not None:
            return refused
        path = request.scope["path"].removeprefix(METADATA_PATH).removeprefix(root_path_of(request.scope))
        path = path.rstrip("/") or _GENERAL_PATH
        if not self._oauth.issuer or (path != _GENERAL_PATH and not profile_from_path(path)):
            return JSONResponse({"error": "not_found"}, status_code=404)
        general_url = self._oauth.resource.rstrip("/") or f"{base_url(request.scope)}{_GENERAL_PATH}"
        return JSONResponse(
            {
                "resource": general_url + path.removeprefix(_GENERAL_PATH),
                "authorization_servers": [self._oauth.issuer],
                "bearer_methods_supported": ["header"],
                "resource_name": "ModelGate",
            },
            headers={"Access-Control-Allow-Origin": "*"},
        )
