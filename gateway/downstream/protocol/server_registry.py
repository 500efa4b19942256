"""The gateway's endpoints as a registry lists servers, for clients that take one: `GET /v0.1/servers`, with a key."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import __version__
from gateway.access.caller import Caller
from gateway.access.profiles import Profiles
from gateway.downstream.jsonrpc import unavailable_response
from gateway.downstream.protocol.authentication import PROFILES_PATH, Authentication, base_url
from gateway.downstream.protocol.origin_guard import OriginGuard
from gateway.errors import (
    CredentialError,
    DatabaseUnavailableError,
    LimitError,
    NotFoundError,
    RoleMissingError,
    SignInUnavailableError,
)
from gateway.settings import ServerSettings

REGISTRY_PATH = "/v0.1/servers"

_NAMESPACE = "modelgate"
_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-09-29/server.schema.json"


class ServerRegistry:
    """Lists to a key what it can connect to: the endpoint for all tools, and that of each profile of its tenant."""

    def __init__(self, authentication: Authentication, profiles: Profiles, settings: ServerSettings) -> None:
        self._authentication = authentication
        self._profiles = profiles
        self._origin_guard = OriginGuard(settings)

    def routes(self) -> list[Route]:
        """The list, and each entry by its name."""
        return [
            Route(REGISTRY_PATH, self._list, methods=["GET"]),
            Route(f"{REGISTRY_PATH}/{{name:path}}/versions", self._versions, methods=["GET"]),
            Route(f"{REGISTRY_PATH}/{{name:path}}/versions/{{version}}", self._version, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        entries = await self._entries(request)
        if isinstance(entries, Response):
            return entries
        words = request.query_params.get("search", "").lower()
        return _listed([entry for entry in entries if words in entry["server"]["name"].lower()])

    async def _versions(self, request: Request) -> Response:
        entries = await self._named(request)
        return entries if isinstance(entries, Response) else _listed(entries)

    async def _version(self, request: Request) -> Response:
        entries = await self._named(request)
        if isinstance(entries, Response):
            return entries
        if request.path_params["version"] not in ("latest", __version__):
            return _not_found()
        return JSONResponse(entries[0])

    async def _named(self, request: Request) -> list[dict[str, Any]] | Response:
        entries = await self._entries(request)
        if isinstance(entries, Response):
            return entries
        name = unquote(request.path_params["name"])
        return [entry for entry in entries if entry["server"]["name"] == name] or _not_found()

    async def _entries(self, request: Request) -> list[dict[str, Any]] | Response:
        refused = self._origin_guard.check(request.headers)
        if refused is not None:
            return refused
        try:
            caller: Caller = await self._authentication.authenticate(request.scope)
            await self._authentication.count_request(caller)
            profiles = await self._profiles.list(caller.tenant_id)
        except (CredentialError, RoleMissingError, LimitError, NotFoundError) as error:
            return self._authentication.refuse(error, request.scope)
        except (DatabaseUnavailableError, SignInUnavailableError) as error:
            return unavailable_response(error)
        base = base_url(request.scope)
        general = _entry("all", "Every tool of this gateway that the key may use, found by search.", f"{base}/mcp")
        return [general, *(_entry(each.name, each.description, base + PROFILES_PATH + each.name) for each in profiles)]


def _entry(name: str, description: str, url: str) -> dict[str, Any]:
    key = {"description": "A key of this gateway", "isRequired": True, "isSecret": True}
    server = {
        "$schema": _SCHEMA,
        "name": f"{_NAMESPACE}/{name}",
        "title": "ModelGate" if name == "all" else f"ModelGate: {name}",
        "description": description or f"The profile {name} of this gateway.",
        "version": __version__,
        "remotes": [
            {
                "type": "streamable-http",
                "url": url,
                "headers": [{"name": "Authorization", "value": "Bearer {api_key}", "variables": {"api_key": key}}],
            }
        ],
    }
    official = {"status": "active", "isLatest": True}
    return {"server": server, "_meta": {"io.modelcontextprotocol.registry/official": official}}


def _listed(entries: list[dict[str, Any]]) -> Response:
    # There are never so many that a page of a list would not hold them.
    return JSONResponse({"servers": entries, "metadata": {"count": len(entries)}})


def _not_found() -> Response:
    return JSONResponse({"title": "Not Found", "status": 404, "detail": "There is no such server."}, 404)
