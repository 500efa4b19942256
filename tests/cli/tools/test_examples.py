"""`modelgate tools example add|list|remove` as a user types it."""

from __future__ import annotations

import json
import sys

from tests.cli.process import CommandLine
from tests.support.gateway import LOCAL_MCP

NAME = "local_mcp__calculator"
SAID = "how much do I owe each of my flatmates"


async def test_an_example_is_given_listed_and_taken_away(modelgate: CommandLine) -> None:
    await modelgate("servers", "add", "Local MCP", "--", sys.executable, str(LOCAL_MCP))
    await modelgate("sync")
    assert (await modelgate("tools", "example", "list", NAME)).out == "It has no example.\n"
    added = await modelgate("tools", "example", "add", NAME, SAID)
    assert (added.code, added.out) == (0, f"{NAME} is found by that from the next search on.\n")
    first = json.loads((await modelgate("search", "what do my flatmates owe", "--json")).out)["tools"][0]
    assert first["name"] == NAME
    (listed,) = json.loads((await modelgate("tools", "example", "list", NAME, "--json")).out)
    assert (listed["text"], listed["source"], listed["state"]) == (SAID, "admin", "approved")
    assert SAID in (await modelgate("tools", "example", "list", NAME)).out
    gone = await modelgate("tools", "example", "remove", NAME, SAID.upper())
    assert gone.out == "It has no effect from the next search on.\n"
    again = await modelgate("tools", "example", "remove", NAME, SAID)
    assert (again.code, "has no example" in again.err) == (1, True)
    empty = await modelgate("tools", "example", "add", NAME, "?!")
    assert (empty.code, "needs a letter or a digit" in empty.err) == (1, True)
