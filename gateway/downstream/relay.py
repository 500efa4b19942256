"""Calls of upstream tools: resolved by name, checked, passed on, answered as the upstream answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.catalog.server import Servers
from gateway.database.pool import Database
from gateway.downstream.exchange import Exchange
from gateway.downstream.gateway_tools import error_result
from gateway.errors import UpstreamError, UpstreamReplyError
from gateway.upstream.pool import UpstreamPool

_SHOWN_CHARACTERS = 100


class Relay:
    """Passes calls on to upstream servers."""

    def __init__(self, database: Database, servers: Servers, pool: UpstreamPool) -> None:
        self._database = database
        self._servers = servers
        self._pool = pool

    async def call(self, exchange: Exchange, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The upstream's result for a tool, by exposed name or "server/tool".

        Raises MCPError where the tool is not there or not for this caller, which answers alike, and where the upstream
        answers with a JSON-RPC error, whose code and message it then has. An upstream that fails is a tool error: a
        result that the model can read.
        """
        tool = await self._find(exchange, name)
        spec = await self._servers.spec(exchange.caller.tenant_id, tool["server_id"])
        params = {**exchange.params, "name": tool["name"], "arguments": dict(arguments)}
        try:
            return await self._pool.request(
                spec, "tools/call", params, session_key=exchange.session_id, on_progress=exchange.on_progress
            )
        except UpstreamReplyError as error:
            raise MCPError(code=error.code, message=error.message, data=error.data) from None
        except UpstreamError as error:
            return error_result(error.message)

    async def _find(self, exchange: Exchange, name: str) -> Any:
        server, _, tool_name = name.partition("/")
        tool = None
        if "\x00" not in name:
            tool = await self._database.fetchrow(
                "callable_tool", exchange.caller.tenant_id, list(exchange.caller.role_ids), name, server, tool_name
            )
        if tool is None:
            shown = json.dumps(name[:_SHOWN_CHARACTERS], ensure_ascii=False)
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"There is no tool {shown}; find the right name with tool_search.",
            )
        return tool
