"""The Python SDK, version 1, as a client: prints the tools that it is listed and what one of them answers, as JSON.

python python_sdk_1.py http|sse URL KEY TOOL ARGUMENTS
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client


async def main(transport: str, url: str, key: str, tool: str, arguments: str) -> None:
    connect = sse_client if transport == "sse" else streamablehttp_client
    async with connect(url, headers={"X-API-Key": key}) as streams, ClientSession(streams[0], streams[1]) as session:
        await session.initialize()
        listed, cursor = [], None
        while True:
            page = await session.list_tools(cursor)
            listed += [each.name for each in page.tools]
            cursor = page.nextCursor
            if cursor is None:
                break
        result = await session.call_tool(tool, json.loads(arguments))
    print(json.dumps({"tools": listed, "text": result.content[0].text}))


asyncio.run(main(*sys.argv[1:]))
