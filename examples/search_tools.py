"""Ask a gateway for a tool and call it, with the official SDK and with plain HTTP.

export MODELGATE_API_KEY=mg_…
python search_tools.py http://127.0.0.1:8080/mcp "calculate math expressions" '{"expression": "6 * 7"}'
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

if len(sys.argv) != 4 or not os.environ.get("MODELGATE_API_KEY"):
    sys.exit(f"Usage:{__doc__.partition('.')[2]}")

URL, QUERY, ARGUMENTS = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
HEADERS = {"Authorization": f"Bearer {os.environ['MODELGATE_API_KEY']}"}


async def with_the_sdk() -> None:
    async with (
        httpx2.AsyncClient(headers=HEADERS, timeout=60) as http,
        Client(streamable_http_client(URL, http_client=http)) as client,
    ):
        answer = await client.call_tool("tool_search", {"query": QUERY})
        best = json.loads(answer.content[0].text)["tools"][0]["name"]
        result = await client.call_tool(best, ARGUMENTS)
        print(best, "says", result.content[0].text)


def with_plain_http() -> None:
    def call(name: str, arguments: dict) -> str:
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        answer = httpx2.post(URL, json=request, headers=HEADERS, timeout=60).json()
        return answer["result"]["content"][0]["text"]

    best = json.loads(call("tool_search", {"query": QUERY}))["tools"][0]["name"]
    print(best, "says", call(best, ARGUMENTS))


asyncio.run(with_the_sdk())
with_plain_http()
