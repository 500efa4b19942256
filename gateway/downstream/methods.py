"""What the gateway answers to each MCP method, the same in both protocol eras."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.database.pool import Database
from gateway.downstream.arguments import read_call
from gateway.downstream.exchange import Exchange, Method
from gateway.downstream.gateway_tools import TOOL_CALL, TOOL_SEARCH, GatewayTools, error_result
from gateway.downstream.relay import Relay
from gateway.errors import InvalidInputError
from gateway.settings import McpSettings


class Methods:
    """The methods by name."""

    def __init__(self, database: Database, tools: GatewayTools, relay: Relay, settings: McpSettings) -> None:
        self._database = database
        self._tools = tools
        self._relay = relay
        self._path_names = settings.names == "path"
        self._table: dict[str, Method] = {
            "ping": self._ping,
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
        }

    def get(self, method: str) -> Method | None:
        """What answers `method`, None where nothing does."""
        return self._table.get(method)

    async def _ping(self, exchange: Exchange) -> dict[str, Any]:
        return {}

    async def _list_tools(self, exchange: Exchange) -> dict[str, Any]:
        caller = exchange.caller
        tools = await self._tools.definitions(caller)
        for row in await self._database.fetch("listed_tools", caller.tenant_id, list(caller.role_ids)):
            name = f"{row['server_name']}/{row['name']}" if self._path_names else row["exposed_name"]
            tools.append({**json.loads(row["definition"]), "name": name})
        return {"tools": tools}

    async def _call_tool(self, exchange: Exchange) -> dict[str, Any]:
        name = exchange.params.get("name")
        if not isinstance(name, str):
            raise MCPError(code=INVALID_PARAMS, message="params.name has to be the name of a tool.")
        arguments = exchange.params.get("arguments")
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, Mapping):
            raise MCPError(code=INVALID_PARAMS, message="params.arguments has to be an object.")
        if name == TOOL_SEARCH:
            return await self._tools.search(exchange.caller, arguments)
        if name == TOOL_CALL:
            try:
                name, arguments = read_call(arguments)
            except InvalidInputError as error:
                return error_result(error.message)
            if name in (TOOL_SEARCH, TOOL_CALL):
                return error_result(f"{name} is one of the gateway's own tools; call it directly.")
        return await self._relay.call(exchange, name, arguments)
