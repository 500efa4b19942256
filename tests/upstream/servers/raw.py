"""A stdio MCP server in bare Python that behaves as its first argument says, and misbehaves as its tools are named.

It reads and writes the wire itself, so that it can do what no SDK would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

MODE = sys.argv[1] if len(sys.argv) > 1 else "handshake"
WITHOUT_TOOLS = "without-tools" in sys.argv[2:]
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
TOOLS = [
    {"name": "echo", "inputSchema": {"type": "object"}, "x-vendor": {"kept": True}},
    {"name": "broken", "inputSchema": {"type": "string"}},
]

ODD_TOOLS = ("echo", "nested", "large_error", "large_question")
CAPABILITIES = {"prompts": {}} if WITHOUT_TOOLS else {"tools": {"listChanged": True}}

cancelled: list[Any] = []
listening: Any = None
calls = 0


def send(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    sys.stdout.buffer.flush()


def receive() -> dict[str, Any]:
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    return message


def text(value: Any) -> dict[str, Any]:
    result = {"content": [{"type": "text", "text": json.dumps(value)}], "isError": False}
    return {"resultType": "complete", **result} if MODE == "modern" else result


def initialize(params: dict[str, Any]) -> dict[str, Any]:
    return {
        "protocolVersion": "2025-06-18",
        "capabilities": {**CAPABILITIES, "experimental": {"client": params["capabilities"]}},
        "serverInfo": {"name": "raw", "version": "1"},
        "instructions": "Be gentle.",
    }


def discover() -> dict[str, Any]:
    return {
        "supportedVersions": ["2026-07-28"],
        "capabilities": CAPABILITIES,
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "raw-modern", "version": "1"}},
    }


def page(params: dict[str, Any]) -> dict[str, Any]:
    if MODE == "endless":
        return {"tools": TOOLS, "nextCursor": str(time.monotonic_ns())}
    if MODE == "circle":
        return {"tools": TOOLS, "nextCursor": "same"}
    if "lists-all" in sys.argv[2:]:
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ODD_TOOLS]}
    if "cursor" in params:
        return {"tools": TOOLS[1:]}
    return {"tools": TOOLS[:1], "nextCursor": "second"}


def call(request_id: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a tool, or None where the tool has answered in its own way, or never will."""
    name, arguments, meta = params["name"], params.get("arguments") or {}, params.get("_meta") or {}
    if name == "echo":
        return {**text(params), "x-unknown": {"deep": [1, None, 2.5]}, "_meta": {"vendor/key": "kept"}}
    if name == "die":
        os._exit(3)
    if name == "hang":
        return None
    if name == "slow":
        time.sleep(arguments["seconds"])
    if name == "cancelled":
        return text(cancelled)
    if name == "count":
        return text(calls)
    if name == "progress":
        for step in range(1, arguments["steps"] + 1):
            time.sleep(arguments["pause"])
            progress = {"progressToken": meta.get("progressToken"), "progress": step, "total": arguments["steps"]}
            send({"method": "notifications/progress", "params": {**progress, "message": f"step {step}"}})
    if name == "huge":
        piece = b"x" * 2**20
        for _ in range(arguments["mebibytes"]):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    if name == "big":
        return text("x" * arguments["bytes"])
    if name == "flood":
        line = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}})
        for _ in range(arguments["thousands"]):
            sys.stdout.buffer.write((line + "\n").encode() * 1000)
    if name == "ask":
        send({"id": "question-1", "method": arguments["method"], "params": arguments.get("params", {})})
        answer = receive()
        while "method" in answer:
            answer = receive()
        return text(answer)
    if name == "ask_much":
        for number in range(arguments["times"]):
            send({"id": f"question-{number}", "method": arguments["method"], "params": {}})
        answers: list[Any] = []
        while len(answers) < arguments["answers"]:
            answer = receive()
            if "method" not in answer:
                answers.append(answer)
        return text(answers)
    if name == "invalid_utf8":
        head = json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {"content": "HERE"}}).encode()
        sys.stdout.buffer.write(head.replace(b"HERE", b"\xff\xfe") + b"\n")
        sys.stdout.buffer.flush()
        return None
    if name == "refuse":
        send({"id": request_id, "error": {"code": -32050, "message": "not today", "data": {"retry": 7}}})
        return None
    if name == "not_an_object":
        send({"id": request_id, "result": "surprise"})
        return None
    if name == "environment":
        return text(dict(os.environ))
    if name == "grumble":
        sys.stderr.write("g" * arguments["bytes"] + "THE END\n")
        sys.stderr.flush()
    if name == "pids":
        child = subprocess.Popen(["sleep", "1000"])
        return text([os.getpid(), child.pid])
    if name == "change":
        params = {"_meta": {"io.modelcontextprotocol/subscriptionId": listening}} if listening is not None else {}
        send({"method": "notifications/tools/list_changed", "params": params})
    if name == "log":
        send({"method": "notifications/message", "params": {"level": "info", "data": "hello"}})
    if name == "chatter":
        sys.stdout.write("this is not JSON-RPC\n")
        sys.stdout.flush()
    if name == "large_error":
        data = {"dump": "x" * 200_000}
        send({"id": request_id, "error": {"code": -31999, "message": "not today", "data": data}})
        return None
    if name == "nested":
        levels = b'{"a":' * 900 + b"1" + b"}" * 900
        sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[],"deep":%s}}\n' % (request_id, levels))
        sys.stdout.buffer.flush()
        return None
    if name == "large_question":
        question = {"message": "?" * 2_000_000, "requestedSchema": {"type": "object", "properties": {}}}
        asked = {"a": {"method": "elicitation/create", "params": question}}
        return {"resultType": "input_required", "inputRequests": asked, "requestState": "s"}
    if name == "input_required":
        return {"resultType": "input_required", "inputRequests": {"a": {"method": "roots/list"}}, "requestState": "s"}
    return text("done")


def answer(message: dict[str, Any]) -> None:
    global listening, calls
    request_id, method, params = message["id"], message["method"], message.get("params") or {}
    if method == "initialize" and MODE != "modern":
        send({"id": request_id, "result": initialize(params)})
    elif method == "server/discover" and MODE == "modern":
        send({"id": request_id, "result": discover()})
    elif MODE == "modern" and VERSION_KEY not in params.get("_meta", {}):
        send({"id": request_id, "error": {"code": -32602, "message": "no protocol version"}})
    elif method == "subscriptions/listen" and MODE == "modern":
        listening = request_id
        ack = {"notifications": params["notifications"], "_meta": {"io.modelcontextprotocol/subscriptionId": listening}}
        send({"method": "notifications/subscriptions/acknowledged", "params": ack})
    elif method == "ping":
        send({"id": request_id, "result": {}})
    elif method == "tools/list" and "tools-refused" not in sys.argv[2:]:
        send({"id": request_id, "result": page(params)})
    elif method == "resources/list":
        send({"id": request_id, "result": {"resources": "none of your business"}})
    elif method == "tools/call":
        calls += 1
        result = call(request_id, params)
        if result is not None:
            send({"id": request_id, "result": result})
    elif MODE != "mute":
        send({"id": request_id, "error": {"code": -32601, "message": "Method not found"}})


def main() -> None:
    if MODE == "exit":
        sys.stderr.write("no licence\n")
        sys.exit(7)
    if MODE == "noise":
        sys.stdout.write("Server is up and running!\n")
        sys.stdout.flush()
    if MODE == "babble":
        while True:
            sys.stdout.write("y\n" * 1000)
    if MODE == "stalls":
        send({"method": "notifications/message", "params": {"level": "info", "data": "nearly there"}})
    if MODE in ("silent", "noise", "stalls"):
        time.sleep(1000)
    if MODE == "strict":
        first = receive()
        if first["method"] != "initialize":
            sys.exit(1)
        answer(first)
    while True:
        message = receive()
        if message.get("method") == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
        elif "id" in message and "method" in message:
            if "names-no-request" in sys.argv[2:] and message["method"] == "tools/call":
                send({"id": None, "error": {"code": -32603, "message": "no memory"}})
                continue
            answer(message)
        elif "refuses-notifications" in sys.argv[2:]:
            send({"id": None, "error": {"code": -32601, "message": "Method not found"}})


if __name__ == "__main__":
    main()
