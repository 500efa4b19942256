"""Requests of the modern era, answered without the SDK's machinery, which costs more than the call itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import (
    MCP_NAME_HEADER,
    InboundLadderRejection,
    InboundModernRoute,
    classify_inbound_request,
    decode_header_value,
    find_duplicated_routing_header,
    validate_mcp_param_headers,
)
from mcp_types import HEADER_MISMATCH, LOG_LEVEL_META_KEY, SERVER_INFO_META_KEY, JSONRPCRequest
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.downstream.client_request import LOG_LEVELS, ClientRequest, Result, is_severe_enough
from gateway.downstream.jsonrpc import error_response, unavailable_response
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.methods.task_methods import TASK_METHODS
from gateway.downstream.methods.tools.tool_relay import ToolRelay
from gateway.downstream.protocol.replies.accepted_types import AcceptedTypes
from gateway.downstream.protocol.replies.http_reply import HttpReply
from gateway.downstream.serialized_result import SerializedResult
from gateway.errors import DatabaseUnavailableError
from gateway.json_codec import encode

_CACHEABLE = {"tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"}
# The era has no ping.
_ABSENT = {"ping"}


class ModernRequests:
    """Answers the gateway's methods, by the SDK's rules of what a request has to say of itself.

    Discovery, subscriptions, notifications and what is no request at all are left to the SDK.
    """

    def __init__(self, method_table: MethodTable, tool_relay: ToolRelay, server_info: Mapping[str, Any]) -> None:
        self._method_table = method_table
        self._tool_relay = tool_relay
        self._server_info = dict(server_info)

    async def serve(
        self, caller: Caller, accepted: AcceptedTypes, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Answer the POST with this `body`; False where nothing was answered, as it is the SDK's to answer."""
        if not accepted.json and not accepted.events:
            return False
        headers = Headers(scope=scope)
        try:
            message = json.loads(body)
            rpc_request = JSONRPCRequest.model_validate(message)
        except (ValueError, RecursionError, ValidationError):
            return False
        handler = None if rpc_request.method in _ABSENT else self._method_table.get(rpc_request.method)
        if handler is None:
            return False
        reply = HttpReply(rpc_request.id, scope, receive, send, serialize=self._serialize, may_stream=accepted.events)
        try:
            verdict = await self._check_headers(caller, message, headers)
        except DatabaseUnavailableError as error:
            await unavailable_response(error, rpc_request.id)(scope, receive, send)
            return True
        if isinstance(verdict, InboundLadderRejection):
            await error_response(rpc_request.id, verdict.code, verdict.message, verdict.data)(scope, receive, send)
            return True
        await reply.run(handler, _from_modern(caller, rpc_request, verdict, reply))
        return True

    async def _check_headers(
        self, caller: Caller, message: Mapping[str, Any], headers: Headers
    ) -> InboundModernRoute | InboundLadderRejection:
        """Whether headers and body say the same, and all that is needed."""
        duplicated = find_duplicated_routing_header(headers.items())
        if duplicated is not None:
            return InboundLadderRejection(HEADER_MISMATCH, f"The header {duplicated} appears more than once.")
        verdict = classify_inbound_request(message, headers=dict(headers.items()))
        if not isinstance(verdict, InboundLadderRejection) and message["method"] in TASK_METHODS:
            named = decode_header_value(headers.get(MCP_NAME_HEADER))
            if named != message["params"].get("taskId"):
                return InboundLadderRejection(HEADER_MISMATCH, f"{MCP_NAME_HEADER} does not name the task of the body.")
        if isinstance(verdict, InboundLadderRejection) or message["method"] != "tools/call":
            return verdict
        name, arguments = message["params"].get("name"), message["params"].get("arguments") or {}
        tool = await self._tool_relay.find(caller, name) if isinstance(name, str) else None
        if tool is None or tool.mirrored_schema is None or not isinstance(arguments, Mapping):
            return verdict
        return validate_mcp_param_headers(tool.mirrored_schema, arguments, headers) or verdict

    def _serialize(self, method: str, result: Result) -> Mapping[str, bytes]:
        """The result with what the era asks of every result, where the upstream has not said it."""
        if not isinstance(result, SerializedResult):
            result = SerializedResult.of(result)
        members = dict(result.members)
        members.setdefault("resultType", b'"complete"')
        if method in _CACHEABLE:
            # What a caller sees may change at any moment and is theirs alone.
            members.setdefault("ttlMs", b"0")
            members["cacheScope"] = b'"private"'
        meta = result.value["_meta"] if "_meta" in members else None
        if meta is None or (isinstance(meta, dict) and meta.get(SERVER_INFO_META_KEY) is None):
            members["_meta"] = encode({**(meta or {}), SERVER_INFO_META_KEY: self._server_info})
        return members


def _from_modern(
    caller: Caller, rpc_request: JSONRPCRequest, verdict: InboundModernRoute, reply: HttpReply
) -> ClientRequest:
    params = rpc_request.params or {}
    capabilities = verdict.client_capabilities
    meta: Mapping[str, Any] = params["_meta"]
    token, level = meta.get("progressToken"), meta.get(LOG_LEVEL_META_KEY)

    async def report_progress(progress: float, total: float | None, text: str | None) -> None:
        reported = {"progressToken": token, "progress": progress, "total": total, "message": text}
        await reply.notify(
            "notifications/progress", {key: value for key, value in reported.items() if value is not None}
        )

    async def notify(method: str, notified: dict[str, Any]) -> None:
        if is_severe_enough(notified.get("level"), level):
            await reply.notify(method, notified)

    return ClientRequest(
        caller=caller,
        method=rpc_request.method,
        params=params,
        era="modern",
        capabilities=capabilities if isinstance(capabilities, Mapping) else {},
        on_progress=report_progress if isinstance(token, str | int) and not isinstance(token, bool) else None,
        # Log messages are for those who ask for them.
        on_notification=notify if level in LOG_LEVELS else None,
    )
