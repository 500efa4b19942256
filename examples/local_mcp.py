"""Local MCP: a small MCP server over stdio that needs no network, no account and no configuration.

    python local_mcp.py [--root DIRECTORY]

Four tools: a calculator, typical weather of large cities, facts about this machine, and a file search that stays below
DIRECTORY (the working directory, unless given). Every answer is real: nothing is made up where nothing is known.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

from local_tools.calculator import Calculation, evaluate
from local_tools.files import MAX_RESULTS, FoundFiles, search_files
from local_tools.system import SystemInfo, system_info
from local_tools.weather import CLIMATE, TypicalWeather, typical_weather
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import Field


def build_server(root: Path) -> MCPServer[Any]:
    """The server with its four tools; `search_files` stays below `root`."""
    server: MCPServer[Any] = MCPServer(
        "Local MCP",
        version="1.0.0",
        instructions="Arithmetic, typical weather of large cities, facts about this machine, and file search. Offline.",
        log_level="WARNING",
    )
    read_only = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)

    @server.tool(
        title="Calculator",
        annotations=read_only,
        description=(
            "Perform mathematical calculations: evaluate an arithmetic expression and return the number. Understands "
            "+ - * / // % **, parentheses, functions such as sqrt, sin, log, factorial, round, min and max, and the "
            "constants pi, e and tau."
        ),
    )
    def calculator(
        expression: Annotated[str, Field(description="The expression to evaluate, such as '2 * (3 + 4) ** 2'.")],
    ) -> Calculation:
        return Calculation(expression, evaluate(expression))

    @server.tool(
        title="Typical weather",
        annotations=read_only,
        description=(
            f"Get the weather that is typical for a month in one of {len(CLIMATE)} large cities: the usual daily high "
            "and low temperature from a small built-in climate table. Works without a network, so it knows neither the "
            "current conditions nor a forecast, and answers with an error for other cities."
        ),
    )
    def get_weather(
        city: Annotated[str, Field(description="Name of a large city, such as 'Tokyo' or 'New York'.")],
        month: Annotated[
            int | None, Field(ge=1, le=12, description="Month from 1 (January) to 12; the current month unless given.")
        ] = None,
    ) -> TypicalWeather:
        return typical_weather(city, month or datetime.now(timezone.utc).month)

    @server.tool(
        title="System information",
        annotations=read_only,
        description=(
            "Get information about the computer this server runs on: operating system, CPU count and load, total and "
            "available memory, disk space, uptime and Python version."
        ),
    )
    def get_system_info() -> SystemInfo:
        return system_info(root)

    @server.tool(
        name="search_files",
        title="Search files",
        annotations=read_only,
        description=(
            "Find files by name or glob pattern below this server's root directory and return their paths, sizes and "
            "modification times. Hidden directories are left out; the contents of files are not read."
        ),
    )
    def find(
        pattern: Annotated[
            str,
            Field(
                min_length=1,
                max_length=200,
                description="Part of a file name ('report'), a glob for names ('*.py') or for paths ('docs/**/*.md').",
            ),
        ],
        max_results: Annotated[int, Field(ge=1, le=MAX_RESULTS, description="How many files to return at most.")] = 50,
    ) -> FoundFiles:
        return search_files(root, pattern, max_results)

    return server


def main() -> None:
    """Serve on standard input and output until the client closes them."""
    parser = argparse.ArgumentParser(description="A small MCP server over stdio.")
    parser.add_argument("--root", default=".", help="directory that search_files stays below (default: .)")
    root = Path(parser.parse_args().root).expanduser().resolve()
    if not root.is_dir():
        sys.exit(f"The root {root} is not a directory; name one with --root.")
    build_server(root).run("stdio")


if __name__ == "__main__":
    main()
