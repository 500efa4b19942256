"""One JSON-RPC request in a plain POST, answered as plain JSON: no session, no handshake, any Accept header."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_types import INVALID_REQUEST, METHOD_NOT_FOUND
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.downstream.client_request import ClientRequest
from gateway.downstream.jsonrpc import error_response
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.protocol.replies.http_reply import HttpReply

_SHOWN_CHARACTERS = 100


class OneShotRequests:
    """Answers single requests."""

    def __init__(self, method_table: MethodTable) -> None:
        self._method_table = method_table

    async def serve(self, caller: Caller, message: object, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one decoded JSON-RPC message."""
        refused = await self._run(caller, message, scope, receive, send)
        if refused is not None:
            await refused(scope, receive, send)

    async def _run(
        self, caller: Caller, message: object, scope: Scope, receive: Receive, send: Send
    ) -> Response | None:
        """Answer a request; what cannot be run is answered with the response that this returns."""
        if isinstance(message, list):
            return error_response(None, INVALID_REQUEST, "Batches are not supported; send one request at a time.")
        if not isinstance(message, Mapping) or message.get("jsonrpc") != "2.0":
            return error_response(
                None, INVALID_REQUEST, 'The body has to be one JSON-RPC request with "jsonrpc": "2.0".'
            )
        request_id, method_name = message.get("id"), message.get("method")
        if "id" in message and (isinstance(request_id, bool) or not isinstance(request_id, str | int)):
            return error_response(None, INVALID_REQUEST, "id has to be a string or a whole number.")
        if not isinstance(method_name, str):
            return error_response(request_id, INVALID_REQUEST, "method has to be a string.")
        if request_id is None:
            return Response(status_code=202)
        params = message.get("params", {})
        if not isinstance(params, Mapping):
            return error_response(request_id, INVALID_REQUEST, "params has to be an object.")
        handler = self._method_table.get(method_name)
        if handler is None:
            return error_response(
                request_id, METHOD_NOT_FOUND, f"There is no method {method_name[:_SHOWN_CHARACTERS]!r}."
            )
        await HttpReply(request_id, scope, receive, send).run(handler, ClientRequest(caller, method_name, params))
        return None
