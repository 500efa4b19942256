"""A request in a handshake session that is read, and answered, without the SDK."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from starlette.datastructures import Headers
from starlette.types import Scope, Send

from gateway.downstream.protocol.replies.http_reply import serialize_result
from gateway.downstream.protocol.sessions.running_request import RunningRequest
from gateway.errors import ModelGateError
from gateway.json_codec import assemble, decode, encode

logger = logging.getLogger(__name__)

STREAM_AFTER_SECONDS = 0.1
"""What takes longer gets a stream, which a client that loses the connection can take up again."""


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """A message that a client sends; `id` is None where it wants no answer."""

    id: str | int | None
    method: str
    params: dict[str, Any]

    @classmethod
    def of(cls, scope: Scope, body: bytes) -> SessionMessage | None:
        """The message of a POST; None where it is none, or not of those that can be told to be right at a glance."""
        content_type = Headers(scope=scope).get("content-type", "")
        if content_type.partition(";")[0].strip() != "application/json":
            return None
        try:
            message = decode(body)
        except ValueError:
            return None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            return None
        message_id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        if isinstance(message_id, bool) or not isinstance(message_id, str | int | None):
            return None
        return cls(message_id, method, params) if isinstance(method, str) and isinstance(params, dict) else None


async def send_answer(message: SessionMessage, session_id: str, running: RunningRequest[Any], send: Send) -> None:
    """Answer a request with what has come of it."""
    body = _answer(message, running)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"mcp-session-id", session_id.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(message: SessionMessage, running: RunningRequest[Any]) -> bytes:
    try:
        result = serialize_result(message.method, running.result())
        return assemble({"jsonrpc": "2.0", "id": message.id, "result": result})
    except MCPError as error:
        said: Mapping[str, Any] = {"code": error.code, "message": error.message}
        said = said if error.data is None else {**said, "data": error.data}
    except ModelGateError as error:
        said = {"code": INTERNAL_ERROR, "message": error.message}
    except Exception:
        logger.exception("A request for %s failed.", message.method)
        said = {"code": INTERNAL_ERROR, "message": "Internal error; the gateway's log says more."}
    return encode({"jsonrpc": "2.0", "id": message.id, "error": said})
