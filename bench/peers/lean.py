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


INFO = {"name": "lean", "version": "1"}
LISTED = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def outcome(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result, or the error, of a request of either era."""
    if method == "server/discover":
        more = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "serverInfo": INFO}
        return {"result": {**LISTED, **more}}
    if method == "initialize":
        return {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": INFO}}
    if method == "tools/list":
        return {"result": {**LISTED, "tools": [TOOL]}}
    if method == "tools/call":
        content = [{"type": "text", "text": params["arguments"]["text"]}]
        return {"result": {"resultType": "complete", "content": content}}
    return {"result": {}} if method == "ping" else {"error": {"code": -32601, "message": "no such method"}}


for line in sys.stdin.buffer:
    message = json.loads(line)
    if "id" in message:
        reply = {"jsonrpc": "2.0", "id": message["id"], **outcome(message["method"], message.get("params") or {})}
        sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
        sys.stdout.buffer.flush()
