"""The outermost span of each HTTP request, and the id by which its log records and its client know it."""

from __future__ import annotations

import os
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.telemetry.trace_context import in_request, parse_trace_context
from gateway.telemetry.tracing import Tracing

REQUEST_ID_HEADER = "x-request-id"
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ID_BYTES = 8


class RequestContext:
    """An application of which each request has an id, the client's own where it sends one, and is traced."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; the id goes back in `X-Request-Id`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        request_id = given if _REQUEST_ID_FORM.fullmatch(given) else os.urandom(_ID_BYTES).hex()
        method = scope["method"]
        # Of a path no more than this: some links are secrets.
        route = "/" + scope.get("path", "").lstrip("/").partition("/")[0]
        attributes = {"http.request.method": method, "http.route": route, "modelgate.request_id": request_id}
        parent = parse_trace_context(headers)
        own = (REQUEST_ID_HEADER.encode(), request_id.encode())
        with in_request(request_id), self._tracing.request(f"{method} {route}", attributes, parent) as active:

            async def send_with_id(message: Message) -> None:
                if message["type"] == "http.response.start":
                    # One that another process has answered has it already.
                    others = [each for each in message.get("headers", ()) if each[0].lower() != own[0]]
                    message["headers"] = [*others, own]
                    if active is not None:
                        active.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, send_with_id)
