"""The whole REST API: every operation, and the description of all."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admin.rest import access, audit, gateway, roles, servers, session, syncs, tools
from gateway.admin.rest.openapi import openapi_document
from gateway.admin.rest.router import ApiRouter

OPERATIONS = (
    *session.OPERATIONS,
    *servers.OPERATIONS,
    *syncs.OPERATIONS,
    *tools.OPERATIONS,
    *roles.OPERATIONS,
    *access.OPERATIONS,
    *gateway.OPERATIONS,
    *audit.OPERATIONS,
)
"""Every operation of the REST API."""


def api_routes(router: ApiRouter) -> list[Route]:
    """A route for each operation's path, and one for the OpenAPI description."""
    description = json.dumps(openapi_document(OPERATIONS), ensure_ascii=False).encode()

    async def describe(_: Request) -> Response:
        return Response(description, media_type="application/json")

    return [Route("/api/openapi.json", describe), *router.routes(OPERATIONS)]
