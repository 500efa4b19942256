"""The whole REST API: every operation, and the description of all."""

from __future__ import annotations

import asyncio
import functools
import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admin.rest.openapi import openapi_document
from gateway.admin.rest.operations import (
    approvals,
    audit,
    calls,
    configuration,
    connections,
    gateway,
    guards,
    learning,
    models,
    overrides,
    search_index,
    tools,
)
from gateway.admin.rest.operations.access import keys, profiles, roles, session, tenants
from gateway.admin.rest.operations.servers import servers, syncs, versions
from gateway.admin.rest.router import ApiRouter

OPERATIONS = (
    *session.OPERATIONS,
    *servers.OPERATIONS,
    *versions.OPERATIONS,
    *syncs.OPERATIONS,
    *tools.OPERATIONS,
    *overrides.OPERATIONS,
    *learning.OPERATIONS,
    *roles.OPERATIONS,
    *keys.OPERATIONS,
    *profiles.OPERATIONS,
    *tenants.OPERATIONS,
    *approvals.OPERATIONS,
    *connections.OPERATIONS,
    *guards.OPERATIONS,
    *configuration.OPERATIONS,
    *gateway.OPERATIONS,
    *models.OPERATIONS,
    *search_index.OPERATIONS,
    *audit.OPERATIONS,
    *calls.OPERATIONS,
)
"""Every operation of the REST API."""


def api_routes(router: ApiRouter) -> list[Route]:
    """A route for each operation's path, and one for the OpenAPI description."""

    async def describe(_: Request) -> Response:
        return Response(await asyncio.to_thread(_description), media_type="application/json")

    return [Route("/api/openapi.json", describe), *router.routes(OPERATIONS)]


@functools.cache
def _description() -> bytes:
    """The document, made when it is first asked for: that takes as long as all the rest of a gateway's start."""
    return json.dumps(openapi_document(OPERATIONS), ensure_ascii=False).encode()
