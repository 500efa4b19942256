"""The command line as a user types it: its words and exit codes."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import pytest

from gateway.database.migrate import migrations_folder, read_migrations
from tests.cli.process import CommandLine
from tests.support.gateway import LOCAL_MCP
from tests.support.rows import rows


async def test_from_nothing_to_a_found_tool_in_processes_of_their_own(modelgate: CommandLine) -> None:
    modelgate = replace(modelgate, in_process=False)
    assert (await modelgate("migrate")).out.startswith("The database schema is up to date (")
    planned = (await modelgate("migrate", "--plan")).out
    assert planned == "The database schema is up to date; there is nothing to apply.\n"
    empty = await modelgate("servers", "list")
    assert (empty.code, empty.out) == (0, "There are no servers yet; add one with modelgate servers add.\n")
    nothing = await modelgate("search", "anything")
    assert nothing.code == 0
    assert nothing.out.startswith("The role 'all' sees no tools yet")

    added = await modelgate("servers", "add", "Local MCP", "--", sys.executable, str(LOCAL_MCP))
    assert (added.code, added.out) == (
        0,
        "Local MCP is added; bring its tools in with modelgate sync 'Local MCP'.\n",
    )
    synced = await modelgate("sync")
    assert synced.code == 0
    assert re.match(r"Local MCP: 4 added, 0 unchanged, 12 texts embedded, \d+\.\d s\.\n", synced.out)
    assert synced.out.endswith("1 of 1 servers are synced.\n")
    again = await modelgate("sync", "local_mcp")
    assert "Local MCP: 4 unchanged, 0 texts embedded" in again.out

    found = await modelgate("search", "calculate math expressions")
    assert found.code == 0
    assert "local_mcp__calculator" in found.out
    assert found.out.endswith("1 of 1 found.\n")
    as_json = json.loads((await modelgate("search", "calculate math expressions", "--json")).out)
    assert as_json["tools"][0]["name"] == "local_mcp__calculator"

    removed = await modelgate("servers", "remove", "Local MCP", "--yes")
    assert (removed.code, removed.out) == (0, "Local MCP is removed.\n")


async def test_a_plan_says_what_would_be_applied_and_applies_nothing(modelgate: CommandLine, database_url: str) -> None:
    last = read_migrations(migrations_folder())[-1]
    await rows(database_url, "DELETE FROM schema_migrations WHERE number = $1", last.number)
    planned = f"{last.name}: the version before goes on beside it\n"
    for _ in range(2):
        assert await modelgate.succeed("migrate", "--plan") == planned


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["servers", "remove", "Nobody", "--yes"], 1, "There is no server 'Nobody'; there are: none."),
        (["sync", "Nobody"], 1, "There is no server 'Nobody'; there are: none."),
        (["servers", "add", "a/b", "x"], 1, "The server name 'a/b' may not hold a slash"),
        (["servers", "add", "Web", "ftp://x"], 1, "has to begin with http:// or https://"),
        (["servers", "add", "Web", "http://x", "--header", "oops"], 2, "'oops' has no :"),
        (["servers", "import", "none.json"], 1, "none.json cannot be read: No such file or directory."),
        (["search", ""], 1, "query has to be a string"),
        (["search", "x", "--max-results", "51"], 1, "max_results has to be a whole number from 1 to 50, not 51."),
        (["search", "x", "--role", "nobody"], 1, "There is no role 'nobody'"),
        (["keys", "create", "--expires", "5y"], 2, "'5y' is no time span; write 30d, 12h or 90m."),
        (["keys", "revoke", "77"], 1, "There is no key 77 in force"),
        (["--config", "none.toml", "config", "show"], 1, "The settings file none.toml does not exist"),
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["roles", "remove", "reader"], 2, "No such command 'remove'. Did you mean 'delete'?"),
        (["serverz"], 2, "Did you mean one of: 'serve', 'servers'?"),
    ],
)
async def test_a_mistake_is_told_in_a_sentence(
    modelgate: CommandLine, arguments: list[str], code: int, told: str
) -> None:
    ended = await modelgate(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
