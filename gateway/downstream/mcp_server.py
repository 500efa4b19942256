"""The SDK's server, which speaks both protocol eras, in front of the gateway's methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request

from gateway import __version__
from gateway.downstream.exchange import Exchange, OnProgress
from gateway.downstream.gateway_tools import INSTRUCTIONS
from gateway.downstream.methods import Methods
from gateway.errors import ModelGateError

_CACHEABLE = {"tools/list"}


class McpServer(Server[dict[str, Any]]):
    """Answers the gateway's methods before the SDK would validate and reshape what it passes on."""

    def __init__(self, methods: Methods) -> None:
        super().__init__(
            "modelgate",
            title="ModelGate",
            version=__version__,
            instructions=INSTRUCTIONS,
            # Without a lookup the SDK lists all tools before each call that has arguments.
            get_tool_input_schema=lambda _: None,
        )
        self._methods = methods
        # In place of the SDK's tracing, which does nothing here and costs a seventh of the throughput.
        self.middleware[:] = [self._answer]

    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> mcp_types.ServerCapabilities:
        """What the gateway offers; the SDK would derive it from handlers of its own kind, and there are none."""
        return mcp_types.ServerCapabilities(tools=mcp_types.ToolsCapability())

    async def _answer(self, ctx: ServerRequestContext[dict[str, Any], Any], call_next: CallNext) -> HandlerResult:
        method = self._methods.get(ctx.method)
        request: Request | None = ctx.request
        if method is None or ctx.request_id is None or request is None:
            return await call_next(ctx)
        exchange = Exchange(
            caller=request.scope["state"]["caller"],
            method=ctx.method,
            params=ctx.params or {},
            session_id=request.headers.get("mcp-session-id"),
            on_progress=_progress(ctx),
        )
        try:
            result = await method(exchange)
        except ModelGateError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return _modern(ctx.method, result)
        return result


def _modern(method: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the modern era asks of every result, where the upstream has not said it."""
    stamped = {"resultType": "complete", **result}
    if method in _CACHEABLE:
        # What a caller sees may change at any moment and is theirs alone.
        stamped = {"ttlMs": 0, "cacheScope": "private", **stamped}
    return stamped


def _progress(context: ServerRequestContext[dict[str, Any], Any]) -> OnProgress | None:
    if context.meta is None or context.meta.get("progress_token") is None:
        return None

    async def report(progress: float, total: float | None, message: str | None) -> None:
        await context.session.report_progress(progress, total, message)

    return report
