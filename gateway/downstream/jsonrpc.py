"""JSON-RPC errors as HTTP responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp_types import INTERNAL_ERROR, PARSE_ERROR
from starlette.responses import Response

from gateway.errors import DatabaseUnavailableError, SignInUnavailableError


def error_message(request_id: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    """An error as JSON-RPC puts it."""
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def failure(request_id: Any, code: int, message: str, data: Any = None, *, status: int | None = None) -> Response:
    """A JSON-RPC error with the HTTP status that goes with its code."""
    status = status or ERROR_CODE_HTTP_STATUS.get(code, 200)
    return _json(error_message(request_id, code, message, data), status)


def parse_failure() -> Response:
    """400 for a body that is not JSON."""
    return failure(None, PARSE_ERROR, "The body is not valid JSON.")


def unavailable(error: DatabaseUnavailableError | SignInUnavailableError, request_id: Any = None) -> Response:
    """503 while the database, or the provider of sign-ins, does not answer."""
    response = failure(request_id, INTERNAL_ERROR, error.message, status=503)
    response.headers["Retry-After"] = "1"
    return response


def _json(body: Mapping[str, Any], status: int) -> Response:
    # ASCII escapes hold whatever an upstream sent, lone surrogates included.
    return Response(json.dumps(body, separators=(",", ":")), status_code=status, media_type="application/json")
