"""A stdio server whose one tool, `wait`, answers once a file is there; arguments: that file, and one to say so in."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

GO_ON, STARTED = Path(sys.argv[1]), Path(sys.argv[2])
lock = threading.Lock()


def answer(request_id: Any, result: dict[str, Any]) -> None:
    with lock:
        print(json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}), flush=True)


def wait(request_id: Any) -> None:
    with lock, STARTED.open("a") as file:
        file.write("started\n")
    while not GO_ON.exists():
        time.sleep(0.02)
    answer(request_id, {"content": [{"type": "text", "text": "waited"}], "isError": False})


for line in sys.stdin:
    message = json.loads(line)
    method, request_id = message.get("method"), message.get("id")
    if method == "initialize":
        said = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "w", "version": "1"},
        }
        answer(request_id, said)
    elif method == "tools/list":
        answer(request_id, {"tools": [{"name": "wait", "description": "Waits", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call":
        threading.Thread(target=wait, args=(request_id,), daemon=True).start()
    elif request_id is not None:
        print(json.dumps({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32601, "message": "no"}}), flush=True)
