"""A stdio server that costs next to nothing, so that what is measured is what stands before it."""

from __future__ import annotations

import json
import sys
from typing import Any

TOOL = {
    "name": "echo",
    "description": "Say the same again.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


def outcome(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result, or the error, of a request of the handshake era."""
    if method == "initialize":
        info = {"name": "lean", "version": "1"}
        return {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}}
    if method == "tools/list":
        return {"result": {"tools": [TOOL]}}
    if method == "tools/call":
        return {"result": {"content": [{"type": "text", "text": params["arguments"]["text"]}]}}
    return {"result": {}} if method == "ping" else {"error": {"code": -32601, "message": "no such method"}}


for line in sys.stdin.buffer:
    message = json.loads(line)
    if "id" in message:
        reply = {"jsonrpc": "2.0", "id": message["id"], **outcome(message["method"], message.get("params") or {})}
        sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
        sys.stdout.buffer.flush()
