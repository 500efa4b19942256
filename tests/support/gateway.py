"""A gateway in the test's own process, listening on a real port."""

from __future__ import annotations

import contextlib
import json
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from gateway.access.tenants import tenant_by_slug
from gateway.app import Gateway
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components
from gateway.downstream.application import McpLimits
from tests.support.serving import open_port, serving_at

LOCAL_MCP = Path(__file__).parents[2] / "examples" / "local_mcp.py"


NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: to read the certificates that they do not need takes longer than most requests."""


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """The gateway's address, its parts, and a key that carries the role "all"."""

    url: str
    parts: Components
    key: str
    http: httpx2.AsyncClient

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"

    async def post(self, body: Any, **headers: str) -> httpx2.Response:
        """One plain POST to /mcp with the key; `body` is sent as JSON, bytes as they are."""
        sent = {"X-API-Key": self.key, "Content-Type": "application/json", **headers}
        # In ASCII, so that lone surrogates can be sent, too.
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post("/mcp", content=content, headers=sent)

    async def request(self, method: str, params: Any = None, **headers: str) -> Any:
        """The whole JSON-RPC response to one request."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params is not None:
            message["params"] = params
        return (await self.post(message, **headers)).json()

    async def call(self, name: str, arguments: Any = None) -> Any:
        """The result of one tools/call."""
        answer = await self.request("tools/call", {"name": name, "arguments": arguments or {}})
        assert "result" in answer, answer
        return answer["result"]


@contextlib.asynccontextmanager
async def running_gateway(parts: Components, mcp_limits: McpLimits | None = None) -> AsyncIterator[RunningGateway]:
    """Serve a gateway made of `parts` until the block ends."""
    tenant = await tenant_by_slug(parts.database)
    key = (await parts.keys.create(tenant.id, "test", ["all"])).key
    with open_port() as (listening, url):
        async with (
            serving_at(listening, Gateway(parts, mcp_limits).application(), shutdown_seconds=2),
            httpx2.AsyncClient(base_url=url, timeout=120, verify=NO_AUTHORITIES) as http,
        ):
            yield RunningGateway(url, parts, key, http)


async def add_local_mcp(parts: Components, root: Path, *, name: str = "Local MCP", sync: bool = True) -> int:
    """Add the example server, and sync it; returns its id."""
    tenant = await tenant_by_slug(parts.database)
    new = ServerDefinition(name, "stdio", command=sys.executable, args=(str(LOCAL_MCP), "--root", str(root)))
    server_id = await parts.servers.add(tenant.id, new)
    if sync:
        await parts.sync.run(tenant.id, server_id)
    return server_id
