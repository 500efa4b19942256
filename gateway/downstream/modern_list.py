"""tools/list for modern clients, from what is written already: the SDK would write the whole list for each request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request, find_duplicated_routing_header
from mcp_types import SERVER_INFO_META_KEY
from starlette.datastructures import Headers
from starlette.responses import Response

from gateway.access.caller import Caller
from gateway.downstream.tool_list import ToolList
from gateway.errors import ModelGateError

METHOD = "tools/list"
_ACCEPTED = ("application/json", "text/event-stream")


class ModernList:
    """Answers what is plainly a request for the list, and leaves all else to the SDK."""

    def __init__(self, tool_list: ToolList, server_info: Mapping[str, Any]) -> None:
        self._tool_list = tool_list
        stamp = {
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {SERVER_INFO_META_KEY: dict(server_info)},
        }
        self._stamp = json.dumps(stamp, separators=(",", ":")).encode()[:-1]

    async def answer(self, caller: Caller, headers: Headers, body: bytes) -> Response | None:
        """The response, or None where the SDK is to look at the request."""
        if not all(kind in headers.get("accept", "") for kind in _ACCEPTED):
            return None
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or message.get("method") != METHOD:
            return None
        request_id, params = message.get("id"), message.get("params")
        if isinstance(request_id, bool) or not isinstance(request_id, str | int) or not isinstance(params, dict):
            return None
        if find_duplicated_routing_header(headers.items()) is not None:
            return None
        if not isinstance(classify_inbound_request(message, headers=dict(headers)), InboundModernRoute):
            return None
        try:
            page = await self._tool_list.page(caller, params.get("cursor"))
        except (MCPError, ModelGateError):
            return None
        result = b'{"jsonrpc":"2.0","id":%s,"result":%s,%s}' % (
            json.dumps(request_id).encode(),
            self._stamp,
            page.text[1:],
        )
        return Response(result, media_type="application/json")
