"""Updates of resources of a server made with the SDK and reached over HTTP, which is stopped and started again."""

from __future__ import annotations

import asyncio
from typing import Any

import mcp_types
import pytest
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.catalog.servers.server_definition import ServerDefinition
from tests.downstream.conftest import HANDSHAKE, MODERN, Connect, Era
from tests.downstream.listening import UPDATED, listening
from tests.support.gateway import RunningGateway
from tests.support.serving import spare_port
from tests.support.waiting import until

NOTE = "note://web/a"


class Web:
    """A server of one era with one resource; each run of it knows nothing of the one before."""

    def __init__(self, era: Era) -> None:
        self.era = era
        self.bus = InMemorySubscriptionBus()
        self.subscribed: list[ServerSession] = []
        self._port = spare_port()
        self.url = f"http://127.0.0.1:{self._port}/mcp"

    async def start(self) -> None:
        """Serve until `stop`."""
        server: Server[Any] = Server(
            "web",
            on_list_tools=self._tools,
            on_list_resources=self._resources,
            on_subscribe_resource=self._subscribe,
            on_subscriptions_listen=ListenHandler(self.bus),
        )
        app: ASGIApp = server.streamable_http_app()
        self._server = uvicorn.Server(
            uvicorn.Config(
                app if self.era == "modern" else _Handshake(app),
                port=self._port,
                log_config=None,
                log_level="critical",
                timeout_graceful_shutdown=0,
            )
        )
        self._task = asyncio.create_task(self._server._serve())
        await until(lambda: self._server.started)

    async def stop(self) -> None:
        """End all streams and sessions."""
        self._server.should_exit = True
        await self._task
        self.subscribed.clear()

    @property
    def listener_count(self) -> int:
        """How many listen now."""
        return len(self.bus._listeners) if self.era == "modern" else len(self.subscribed)

    async def updates(self) -> None:
        await self.bus.publish(ResourceUpdated(uri=NOTE))
        for session in self.subscribed:
            await session.send_resource_updated(NOTE)

    async def _tools(self, context: ServerRequestContext[Any, Any], params: Any) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult(tools=[])

    async def _resources(self, context: ServerRequestContext[Any, Any], params: Any) -> mcp_types.ListResourcesResult:
        return mcp_types.ListResourcesResult(resources=[mcp_types.Resource(uri=NOTE, name="a")])

    async def _subscribe(self, context: ServerRequestContext[Any, Any], params: Any) -> mcp_types.EmptyResult:
        self.subscribed.append(context.session)
        return mcp_types.EmptyResult()


class _Handshake:
    """Answers as a server does that has not heard of the modern era."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and Headers(scope=scope).get("mcp-protocol-version", "").startswith("2026"):
            await JSONResponse({"error": "Bad Request: unsupported protocol version"}, 400)(scope, receive, send)
            return
        await self._app(scope, receive, send)


@pytest.mark.parametrize("era", ["handshake", "modern"])
@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_a_subscription_outlives_a_restart_of_the_server(
    gateway: RunningGateway, connect: Connect, mode: str, era: Era
) -> None:
    web = Web(era)
    await web.start()
    try:
        server_id = await gateway.parts.servers.add(1, ServerDefinition("Web", "http", url=web.url))
        await gateway.parts.sync.run(1, server_id)
        async with listening(connect, mode, NOTE) as client:

            async def told() -> bool:
                await web.updates()
                return client.received.count(UPDATED, NOTE) > before

            before = 0
            await until(told)
            await web.stop()
            await web.start()
            await until(lambda: web.listener_count > 0, 30)
            before = client.received.count(UPDATED, NOTE)
            await until(told)
        await gateway.parts.pool.close_server(server_id)
    finally:
        await web.stop()
