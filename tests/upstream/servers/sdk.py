"""MCP servers made with the SDK, which speak both eras: run as a script over stdio, or built for HTTP."""

from __future__ import annotations

import anyio
from mcp.server import MCPServer, NotificationOptions
from mcp.server.mcpserver import Context
from mcp.server.stdio import stdio_server
from pydantic import BaseModel


class Answer(BaseModel):
    colour: str


def build() -> MCPServer:
    """A server with tools that add, report progress, ask, and return much."""
    server = MCPServer("sdk", instructions="Ask for colours.")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def much(size: int) -> str:
        """Return `size` characters."""
        return "m" * size

    @server.tool()
    async def steps(ctx: Context) -> str:
        """Work in three steps."""
        for step in range(3):
            await ctx.report_progress(step + 1, 3, f"step {step + 1}")
        return "done"

    @server.tool()
    async def colour(ctx: Context) -> str:
        """Ask for a colour."""
        answer = await ctx.elicit("Which colour?", Answer)
        return answer.data.colour if answer.action == "accept" else answer.action

    @server.tool()
    async def wait() -> str:
        """Never finish."""
        await anyio.sleep_forever()
        return "never"

    return server


async def main() -> None:
    server = build()._lowlevel_server
    async with stdio_server() as (read, write):
        options = server.create_initialization_options(NotificationOptions(tools_changed=True))
        await server.run(read, write, options)


if __name__ == "__main__":
    anyio.run(main)
