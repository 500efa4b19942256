"""`modelgate tools list|show|disable|enable|override` as a user types it."""

from __future__ import annotations

import json
import sys

from tests.cli.process import CommandLine
from tests.support.gateway import LOCAL_MCP


async def test_a_tool_is_called_otherwise_switched_off_and_on(modelgate: CommandLine) -> None:
    await modelgate("servers", "add", "Local MCP", "--", sys.executable, str(LOCAL_MCP))
    await modelgate("sync")
    listed = await modelgate("tools", "list", "--server", "local_mcp")
    assert listed.out.splitlines()[0].split() == ["NAME", "SERVER", "CATEGORY", "STATE"]
    assert "local_mcp__calculator" in listed.out

    told = await modelgate(
        "tools", "override", "local_mcp__calculator", "--name", "sums", "--parameter", "expression=Such as 2 + 2"
    )
    assert (told.code, told.out) == (0, "Overridden everywhere:\n  name: sums\n  expression: Such as 2 + 2\n")
    # What is not given stays.
    await modelgate("tools", "override", "sums", "--title", "Sums")
    shown = json.loads((await modelgate("tools", "show", "Local MCP/calculator", "--json")).out)
    assert (shown["exposed_name"], shown["title"], shown["overrides"][0]["parameters"]) == (
        "sums",
        "Sums",
        {"expression": "Such as 2 + 2"},
    )
    taken = await modelgate("tools", "override", "local_mcp__get_weather", "--name", "sums")
    assert (taken.code, taken.err) == (
        1,
        "Error: Another tool is called sums already; choose another name. [invalid-input]\n",
    )
    assert (await modelgate("tools", "override", "sums")).code == 2

    assert (await modelgate("tools", "disable", "sums")).code == 0
    assert [
        each["name"] for each in json.loads((await modelgate("tools", "list", "--state", "disabled", "--json")).out)
    ] == ["calculator"]
    assert "sums" not in (await modelgate("search", "calculate math expressions")).out
    assert (await modelgate("tools", "enable", "sums")).out == "sums is enabled.\n"
    assert (await modelgate("tools", "override", "sums", "--reset")).out == "sums is as its server says.\n"
    assert "local_mcp__calculator" in (await modelgate("search", "calculate math expressions")).out
