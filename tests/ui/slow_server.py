"""A stdio MCP server that lists its tools only once a file is there: `slow_server.py GATE NUMBER_OF_TOOLS`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

GATE, NUMBER = Path(sys.argv[1]), int(sys.argv[2])


def tools() -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {}}
    return [
        {"name": f"tool_{n}", "description": f"Does thing number {n}.", "inputSchema": schema} for n in range(NUMBER)
    ]


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        answer: dict[str, Any]
        if message["method"] == "initialize":
            info = {"name": "slow", "version": "1"}
            answer = {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}}
        elif message["method"] == "tools/list":
            while not GATE.exists():
                time.sleep(0.02)
            with (GATE.parent / "listings").open("a") as listings:
                listings.write("listed\n")
            answer = {"result": {"tools": tools()}}
        elif message["method"] == "ping":
            answer = {"result": {}}
        else:
            answer = {"error": {"code": -32601, "message": "Method not found"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)


if __name__ == "__main__":
    main()
