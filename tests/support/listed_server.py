"""A stdio MCP server in bare Python that lists whatever a JSON file holds, read anew for each listing.

The file holds `{"tools": [...]}`, and may hold `"line"`, which is written in place of the answer to tools/list
(`$id` stands for the id of the request),
`"said"`, members of the answer to initialize,
`"page"`, the number of tools on a page, `"announces"`, with which it says so whenever the file changes, and
`"result"`, the result of every call; without that a call answers with the name and arguments that arrived.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

FILE = Path(sys.argv[1])

writing = threading.Lock()


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        info = {"name": "listed", "version": "1"}
        said = json.loads(FILE.read_text(encoding="utf-8")).get("said", {})
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info, **said}
    if method == "ping":
        return {}
    if method == "tools/list":
        listing = json.loads(FILE.read_text(encoding="utf-8"))
        tools, start = listing["tools"], int(params.get("cursor", 0))
        end = start + listing.get("page", len(tools))
        return {"tools": tools[start:end], **({"nextCursor": str(end)} if end < len(tools) else {})}
    if method == "tools/call":
        listing = json.loads(FILE.read_text(encoding="utf-8"))
        if "result" in listing:
            return dict(listing["result"])
        text = json.dumps({"name": params["name"], "arguments": params.get("arguments")})
        return {"content": [{"type": "text", "text": text}]}
    return None


def write(line: str) -> None:
    with writing:
        print(line, flush=True)


def announce_changes(text: str) -> None:
    while True:
        time.sleep(0.05)
        before, text = text, FILE.read_text(encoding="utf-8")
        if text != before:
            write(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))


def main() -> None:
    text = FILE.read_text(encoding="utf-8")
    if json.loads(text).get("announces"):
        threading.Thread(target=announce_changes, args=(text,), daemon=True).start()
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        listing = json.loads(FILE.read_text(encoding="utf-8"))
        if message["method"] == "tools/list" and "line" in listing:
            write(listing["line"].replace("$id", json.dumps(message["id"])))
            continue
        result = result_of(message["method"], message.get("params") or {})
        answer: dict[str, Any] = {"result": result}
        if result is None:
            answer = {"error": {"code": -32601, "message": "Method not found"}}
        write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}))


if __name__ == "__main__":
    main()
