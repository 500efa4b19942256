"""Bodies of requests, read whole, and given again to what reads them once more."""

from __future__ import annotations

from mcp_types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive

from gateway.downstream.jsonrpc import error_response


async def read_body(headers: Headers, receive: Receive, max_bytes: int) -> bytes | Response:
    """The body, or 413 as soon as it is known to be longer than `max_bytes`."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        return _body_too_long(max_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return Response(status_code=499)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > max_bytes:
            return _body_too_long(max_bytes)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _body_too_long(max_bytes: int) -> Response:
    text = f"The body is longer than the {max_bytes} bytes it may have."
    return error_response(None, INVALID_REQUEST, text, status=413)
