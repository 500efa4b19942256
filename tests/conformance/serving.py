"""A gateway in front of the fixture, on a loopback port that adds the key: the suite cannot send one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.roles import create_role
from gateway.access.tenants import tenant_by_slug
from gateway.app import Gateway
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import load_settings

ROOT = Path(__file__).parents[2]


class WithKey:
    """Adds the key to every request, as a reverse proxy would."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._header = (b"x-api-key", key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], self._header]}
        await self._app(scope, receive, send)


@contextlib.asynccontextmanager
async def serve_gateway(folder: Path, *fixture_arguments: str) -> AsyncIterator[str]:
    """The address of the endpoint; `folder` holds the gateway's data."""
    settings = load_settings(
        environ={"MODELGATE_DATA_DIR": str(folder), "MODELGATE_EMBEDDER_TYPE": "builtin", "MODELGATE_SERVER_PORT": "0"}
    )
    async with open_components(settings) as parts:
        tenant = await tenant_by_slug(parts.database)
        fixture = ServerDefinition(
            "Fixture",
            "stdio",
            command=sys.executable,
            args=("-m", "tests.conformance.fixture", *fixture_arguments),
            cwd=str(ROOT),
            prefix="",
        )
        server_id = await parts.servers.add(tenant.id, fixture)
        await create_role(parts.database, tenant.id, "suite", "ALLOW")
        await parts.sync.run(tenant.id, server_id)
        key = (await parts.keys.create(tenant.id, "suite", ["suite"])).key
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(256)
            app = WithKey(Gateway(parts).application(), key)
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            finally:
                server.should_exit = True
                await serving
