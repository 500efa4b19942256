"""Upstream servers that say what passes through, and SDK clients of both eras."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway.access.roles import create_role
from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from tests.support.gateway import NO_AUTHORITIES, RunningGateway

TALKER = Path(__file__).parent / "talker.py"
HANDSHAKE = "legacy"
MODERN = "auto"

Era = Literal["handshake", "modern"]


@dataclass(frozen=True, slots=True)
class Talker:
    """An upstream server that was added and synced."""

    id: int
    slug: str
    log: Path

    async def wait_for_log(self, beginning: str) -> str:
        """The first line that the server has logged with this beginning, once there is one."""
        with anyio.fail_after(10):
            while True:
                lines = self.log.read_text().splitlines() if self.log.exists() else []
                for line in lines:
                    if line.startswith(beginning):
                        return line
                await anyio.sleep(0.01)


def text_of(answer: Any) -> str:
    """The first text in a result, a prompt or the contents of a resource."""
    for part in ("content", "contents", "messages"):
        if hasattr(answer, part):
            found = getattr(answer, part)
            return text_of(found[0] if isinstance(found, list) else found)
    text: str = answer.text
    return text


AddTalker = Callable[..., Awaitable[Talker]]
Connect = Callable[..., AbstractAsyncContextManager[Client]]
OnResponse = Callable[[httpx2.Response], Awaitable[None]]


@pytest.fixture
async def tenant_id(gateway: RunningGateway) -> int:
    return (await tenant_by_slug(gateway.parts.database)).id


@pytest.fixture
def add_talker(gateway: RunningGateway, tenant_id: int, tmp_path: Path) -> AddTalker:
    """Adds a server and syncs it: `await add_talker("Some Name", era="modern")`."""

    async def add(name: str = "Talker", era: Era = "modern", **more: Any) -> Talker:
        log = tmp_path / f"{name}.log"
        arguments = ("-I", "-S", str(TALKER), era, name, str(log))
        new = ServerDefinition(name, "stdio", command=sys.executable, args=arguments, **more)
        server_id = await gateway.parts.servers.add(tenant_id, new)
        await gateway.parts.sync.run(tenant_id, server_id)
        slug = (await gateway.parts.servers.spec(tenant_id, server_id)).slug
        return Talker(server_id, slug, log)

    return add


@pytest.fixture
async def listing_key(gateway: RunningGateway, tenant_id: int) -> str:
    """A key that is listed every tool."""
    await create_role(gateway.parts.database, tenant_id, "everything", "ALLOW")
    return (await gateway.parts.keys.create(tenant_id, "lister", ["everything"])).key


@pytest.fixture
def connect(gateway: RunningGateway) -> Connect:
    """Connects an SDK client: `async with connect(MODERN, key=…, elicitation_callback=…) as client`.

    `on_response` is called with each response whose head has come.
    """

    @contextlib.asynccontextmanager
    async def connected(
        mode: str, key: str | None = None, on_response: OnResponse | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {key or gateway.key}"}
        hooks = {"response": [on_response] if on_response is not None else []}
        async with httpx2.AsyncClient(headers=headers, timeout=30, verify=NO_AUTHORITIES, event_hooks=hooks) as http:
            transport = streamable_http_client(gateway.mcp, http_client=http)
            async with Client(transport, mode=mode, cache=None, **options) as client:
                yield client

    return connected
