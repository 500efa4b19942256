"""Requests of the modern era, answered without the SDK's machinery, which costs more than the call itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.server.streamable_http import check_accept_headers
from mcp.shared.inbound import (
    InboundLadderRejection,
    InboundModernRoute,
    classify_inbound_request,
    find_duplicated_routing_header,
    validate_mcp_param_headers,
)
from mcp_types import HEADER_MISMATCH, LOG_LEVEL_META_KEY, SERVER_INFO_META_KEY, JSONRPCRequest
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.jsonrpc import failure, unavailable
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.methods.tool_relay import ToolRelay
from gateway.downstream.protocol.http_reply import HttpReply, serialized
from gateway.downstream.protocol.log_level import LEVELS, at_least
from gateway.downstream.serialized import Serialized
from gateway.errors import DatabaseUnavailableError
from gateway.json_codec import encode

_CACHEABLE = {"tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"}
_USUAL_ACCEPT = "application/json, text/event-stream"
# The era has no ping.
_ABSENT = {"ping"}


class ModernRequests:
    """Answers the gateway's methods, by the SDK's rules of what a request has to say of itself.

    Discovery, subscriptions, notifications and what is no request at all are left to the SDK.
    """

    def __init__(self, methods: MethodTable, relay: ToolRelay, server_info: Mapping[str, Any]) -> None:
        self._methods = methods
        self._relay = relay
        self._server_info = dict(server_info)

    async def serve(self, caller: Caller, body: bytes, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer the POST with this `body`; False where nothing was answered, as it is the SDK's to answer."""
        headers = Headers(scope=scope)
        if headers.get("accept") != _USUAL_ACCEPT and not all(check_accept_headers(Request(scope))):
            return False
        try:
            message = json.loads(body)
            request = JSONRPCRequest.model_validate(message)
        except (ValueError, RecursionError, ValidationError):
            return False
        method = None if request.method in _ABSENT else self._methods.get(request.method)
        if method is None:
            return False
        reply = HttpReply(request.id, scope, receive, send, serialize=self._stamped, streams=True)
        try:
            verdict = await self._judged(caller, message, headers)
        except DatabaseUnavailableError as error:
            await unavailable(error, request.id)(scope, receive, send)
            return True
        if isinstance(verdict, InboundLadderRejection):
            await failure(request.id, verdict.code, verdict.message, verdict.data)(scope, receive, send)
            return True
        await reply.run(method, _to_client_request(caller, request, verdict, reply))
        return True

    async def _judged(
        self, caller: Caller, message: Mapping[str, Any], headers: Headers
    ) -> InboundModernRoute | InboundLadderRejection:
        """Whether headers and body say the same, and all that is needed."""
        duplicated = find_duplicated_routing_header(headers.items())
        if duplicated is not None:
            return InboundLadderRejection(HEADER_MISMATCH, f"The header {duplicated} appears more than once.")
        verdict = classify_inbound_request(message, headers=dict(headers.items()))
        if isinstance(verdict, InboundLadderRejection) or message["method"] != "tools/call":
            return verdict
        name, arguments = message["params"].get("name"), message["params"].get("arguments") or {}
        tool = await self._relay.find(caller, name) if isinstance(name, str) else None
        if tool is None or tool.mirrored_schema is None or not isinstance(arguments, Mapping):
            return verdict
        return validate_mcp_param_headers(tool.mirrored_schema, arguments, headers) or verdict

    def _stamped(self, method: str, result: Result) -> bytes:
        """The result with what the era asks of every result, where the upstream has not said it."""
        value = result.value if isinstance(result, Serialized) else result
        stamp: dict[str, Any] = {}
        if "resultType" not in value:
            stamp["resultType"] = "complete"
        if method in _CACHEABLE:
            # What a caller sees may change at any moment and is theirs alone.
            stamp |= {"ttlMs": value.get("ttlMs", 0), "cacheScope": "private"}
        meta = value.get("_meta")
        if meta is None or (isinstance(meta, dict) and meta.get(SERVER_INFO_META_KEY) is None):
            stamp["_meta"] = {**(meta or {}), SERVER_INFO_META_KEY: self._server_info}
        if not value or not stamp.keys().isdisjoint(value):
            return encode({**value, **stamp})
        text = serialized(method, result)
        return b"%s,%s" % (encode(stamp)[:-1], text[1:]) if stamp else text


def _to_client_request(
    caller: Caller, request: JSONRPCRequest, verdict: InboundModernRoute, reply: HttpReply
) -> ClientRequest:
    params = request.params or {}
    capabilities = verdict.client_capabilities
    meta: Mapping[str, Any] = params["_meta"]
    token, level = meta.get("progressToken"), meta.get(LOG_LEVEL_META_KEY)

    async def progress(done: float, total: float | None, text: str | None) -> None:
        said = {"progressToken": token, "progress": done, "total": total, "message": text}
        await reply.notify("notifications/progress", {key: value for key, value in said.items() if value is not None})

    async def notify(method: str, about: dict[str, Any]) -> None:
        if at_least(about.get("level"), level):
            await reply.notify(method, about)

    return ClientRequest(
        caller=caller,
        method=request.method,
        params=params,
        era="modern",
        capabilities=capabilities if isinstance(capabilities, Mapping) else {},
        on_progress=progress if isinstance(token, str | int) and not isinstance(token, bool) else None,
        # Log messages are for those who ask for them.
        on_notification=notify if level in LEVELS else None,
    )
