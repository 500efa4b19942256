"""The server behind everything that is measured: over stdio, or over streamable HTTP where a port is given."""

from __future__ import annotations

import argparse
import asyncio

import mcp_types as types
import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

TOOLS = [
    types.Tool(
        name="echo",
        description="Say the same again.",
        input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    ),
    types.Tool(
        name="much",
        description="Say a lot.",
        input_schema={"type": "object", "properties": {"bytes": {"type": "integer"}}, "required": ["bytes"]},
    ),
]


def many(count: int) -> list[types.Tool]:
    """`count` tools with descriptions and parameters of the usual length."""
    properties = {
        name: {"type": "string", "description": f"The {name} to work on, as it is written in the project."}
        for name in ("repository", "branch", "path", "message")
    }
    return [
        types.Tool(
            name=f"tool_{number:03}",
            description=f"Work number {number}: change files of a repository and say what was done, in a few words.",
            input_schema={"type": "object", "properties": properties, "required": ["repository"]},
        )
        for number in range(count)
    ]


def build(tools: int) -> Server[None]:
    """A server with `echo`, `much` and `tools` more."""
    listed = [*TOOLS, *many(tools)]

    async def list_tools(_: ServerRequestContext[None], __: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(_: ServerRequestContext[None], params: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = params.arguments or {}
        text = "m" * int(arguments["bytes"]) if params.name == "much" else str(arguments.get("text", ""))
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    return Server("bench", on_list_tools=list_tools, on_call_tool=call_tool, get_tool_input_schema=lambda _: None)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--tools", type=int, default=0)
    given = parser.parse_args()
    server = build(given.tools)
    if given.port is None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
        return
    app = server.streamable_http_app(json_response=True)
    await uvicorn.Server(uvicorn.Config(app, port=given.port, log_level="warning")).serve()


if __name__ == "__main__":
    asyncio.run(main())
