"""A registry of MCP servers with a handful of entries, as `GET /v0.1/servers` gives them."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PACKAGE: dict[str, Any] = {
    "name": "io.github.acme/notes",
    "description": "Keeps notes",
    "version": "1.2.3",
    "packages": [
        {"registryType": "mcpb", "identifier": "https://x.example/a.mcpb", "transport": {"type": "stdio"}},
        {
            "registryType": "npm",
            "identifier": "@acme/notes",
            "version": "1.2.3",
            "transport": {"type": "stdio"},
            "runtimeArguments": [{"type": "positional", "value": "--quiet"}],
            "packageArguments": [
                {"type": "positional", "valueHint": "folder", "isRequired": True, "description": "Where notes are"},
                {"type": "named", "name": "--level", "default": "info"},
                {"type": "named", "name": "--unused"},
            ],
            "environmentVariables": [
                {"name": "NOTES_TOKEN", "description": "Your token", "isRequired": True, "isSecret": True},
                {"name": "NOTES_MODE", "default": "fast"},
                {"name": "NOTES_MORE"},
                {"name": "NOTES_HOME", "value": "{home}/notes", "variables": {"home": {"description": "Home"}}},
            ],
        },
    ],
    "remotes": [
        {
            "type": "streamable-http",
            "url": "https://{region}.notes.example/mcp",
            "variables": {"region": {"default": "eu"}},
            "headers": [
                {"name": "Authorization", "value": "Bearer {token}", "variables": {"token": {"isSecret": True}}},
                {"name": "X-Team", "isRequired": False},
            ],
        }
    ],
}


def package(kind: str, identifier: str, version: str = "2.0") -> dict[str, Any]:
    """A server with one package."""
    declared = {"registryType": kind, "identifier": identifier, "version": version, "transport": {"type": "stdio"}}
    return {"name": f"io.github.acme/{kind}", "version": version, "packages": [declared]}


class RegistryDouble:
    """Lists `servers`; `raw` is answered in place of everything where it is set."""

    def __init__(self) -> None:
        self.servers: list[dict[str, Any]] = [PACKAGE, package("pypi", "acme-time"), package("oci", "acme/db")]
        self.raw: Response | None = None
        self.queries: list[dict[str, str]] = []

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v0.1/servers", self._list),
                Route("/v0.1/servers/{name:path}/versions/{version}", self._get),
            ]
        )

    async def _list(self, request: Request) -> Response:
        self.queries.append(dict(request.query_params))
        words = request.query_params.get("search", "")
        found = [{"server": server, "_meta": {}} for server in self.servers if words in server["name"]]
        return self.raw or JSONResponse({"servers": [*found, 5, {"server": {}}], "metadata": {"count": len(found)}})

    async def _get(self, request: Request) -> Response:
        if self.raw is not None:
            return self.raw
        for server in self.servers:
            wanted = request.path_params["version"]
            if server["name"] == request.path_params["name"] and wanted in ("latest", server["version"]):
                return JSONResponse({"server": server, "_meta": {}})
        return JSONResponse({"title": "Not Found"}, 404)
