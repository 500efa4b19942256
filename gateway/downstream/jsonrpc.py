"""JSON-RPC messages as HTTP bodies."""

from __future__ import annotations

from typing import Any

from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp_types import INTERNAL_ERROR, PARSE_ERROR
from starlette.responses import Response

from gateway.errors import DatabaseUnavailableError, OverloadedError, SignInUnavailableError
from gateway.json_codec import encode

# JSON-RPC leaves the codes above -32000 to applications.
UNAUTHORIZED = -31401
FORBIDDEN = -31403
PROFILE_NOT_FOUND = -31404
GUARD_REFUSED = -31422
LIMIT_EXCEEDED = -31429
STOPPING = -31503


def error_response(
    request_id: Any, code: int, message: str, data: Any = None, *, status: int | None = None
) -> Response:
    """A JSON-RPC error with the HTTP status that goes with its code, unless another is given."""
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return Response(
        encode({"jsonrpc": "2.0", "id": request_id, "error": error}),
        status_code=status or ERROR_CODE_HTTP_STATUS.get(code, 200),
        media_type="application/json",
    )


def parse_error_response() -> Response:
    """400 for a body that is not JSON."""
    return error_response(None, PARSE_ERROR, "The body is not valid JSON.")


def unavailable_response(
    error: DatabaseUnavailableError | SignInUnavailableError | OverloadedError, request_id: Any = None
) -> Response:
    """503 while the database, or the provider of sign-ins, does not answer, or there are too many requests."""
    response = error_response(request_id, INTERNAL_ERROR, error.message, status=503)
    response.headers["Retry-After"] = "1"
    return response


def stopping_response(request_id: Any, message: str) -> Response:
    """503 while the gateway stops."""
    response = error_response(request_id, STOPPING, message, status=503)
    response.headers["Retry-After"] = "1"
    # What comes next is for another gateway, or for the one that comes after this.
    response.headers["Connection"] = "close"
    return response
