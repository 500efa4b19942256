"""A stdio MCP server in bare Python, of the handshake era, whose tools are faults.

Its argument is a file to which it writes what it is told.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

NAMES = (
    "echo",
    "die",
    "hang",
    "queue",
    "flood",
    "one_line",
    "many_lines",
    "chatter",
    "logs",
    "invalid_utf8",
    "torn",
    "leak",
    "reversed",
)

MEBIBYTE = 2**20
Message = dict[str, Any]

writing = threading.Lock()
serving = threading.Lock()
held: list[tuple[Any, str]] = []


def write(*lines: bytes) -> None:
    with writing:
        for line in lines:
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def send(message: Message) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}).encode())


def note(text: str) -> None:
    with open(sys.argv[1], "a", encoding="utf-8") as file:
        file.write(text + "\n")


def log(text: str) -> bytes:
    params = {"level": "info", "data": text}
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": params}).encode()


def call(request_id: Any, name: str, arguments: Message) -> None:
    count = arguments.get("count", 0)
    if name == "die":
        note("dying")
        time.sleep(arguments.get("seconds", 0))
        os._exit(3)
    if name == "hang":
        note(f"hanging {request_id}")
        return
    if name == "torn":
        sys.stdout.buffer.write(b'{"jsonrpc": "2.0", "id": %d, "result": {"content": [{"type": "text", ' % request_id)
        sys.stdout.buffer.flush()
        os._exit(4)
    if name == "leak":
        resource.setrlimit(resource.RLIMIT_AS, (512 * MEBIBYTE, 512 * MEBIBYTE))
        leaked: list[bytes] = []
        try:
            while True:
                leaked.append(bytes(MEBIBYTE))
        except MemoryError:
            # As the kernel does it.
            os.kill(os.getpid(), signal.SIGKILL)
    if name == "reversed":
        with serving:
            held.append((request_id, arguments["text"]))
            answered = held[::-1] if len(held) == count else []
        for one, text in answered:
            send({"id": one, "result": {"content": [{"type": "text", "text": text}]}})
        return
    if name == "queue":
        note("queueing")
        with serving:
            time.sleep(arguments["seconds"])
    if name == "flood":
        lines = (log("again") + b"\n") * 1000
        for _ in range(count):
            write(lines)
    if name == "one_line":
        for _ in range(count):
            sys.stdout.buffer.write(b"x" * MEBIBYTE)
    if name == "many_lines":
        update = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "x" * MEBIBYTE}}
        for _ in range(count):
            send(update)
    if name == "chatter":
        for _ in range(count):
            write(b"x" * MEBIBYTE)
    if name == "logs":
        for _ in range(count):
            write(log("x" * MEBIBYTE))
    if name == "invalid_utf8":
        write(b'{"jsonrpc": "2.0", "id": %d, "result": {"content": "\xff\xfe"}}' % request_id)
        return
    send({"id": request_id, "result": {"content": [{"type": "text", "text": f"{name} done"}]}})


def main() -> None:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        method, params = message.get("method"), message.get("params") or {}
        if method == "notifications/cancelled":
            note(f"cancelled {params['requestId']}")
        if "id" not in message or method is None:
            continue
        if method == "tools/call":
            about = (message["id"], params["name"], params.get("arguments") or {})
            threading.Thread(target=call, args=about, daemon=True).start()
            continue
        result: Message | None = None
        if method == "initialize":
            info = {"name": "unruly", "version": "1"}
            capabilities: Message = {"tools": {}, "logging": {}}
            result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info}
        elif method == "tools/list":
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in NAMES]}
        elif method == "ping":
            result = {}
        answer = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown"}}
        send({"id": message["id"], **answer})


if __name__ == "__main__":
    main()
