"""`modelgate servers add` and `import`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from gateway.access.tenants import create_tenant
from gateway.app import Components
from gateway.cli import cli
from gateway.errors import InvalidInputError
from tests.cli.process import CommandLine

RAW = Path(__file__).parents[2] / "upstream" / "servers" / "raw.py"


async def test_a_server_is_added_with_limits_of_its_own_or_not_at_all(servers: CommandLine) -> None:
    await servers.succeed(
        "add", "Raw", sys.executable, "--call-timeout", "7", "--session", "per_client", "--", str(RAW)
    )
    shown = await servers.succeed("show", "Raw")
    assert re.search(r"call_timeout_seconds: +7", shown)
    assert re.search(r"Session: +per_client", shown)
    assert "idle_stop_seconds" in await servers.fail("add", "Two", sys.executable, "--idle-stop", "-1")
    assert "Two" not in await servers.succeed("list")


async def test_tools_are_named_with_the_prefix_that_was_chosen(servers: CommandLine) -> None:
    await servers.succeed("add", "Raw", sys.executable, "--prefix", "r2", "--", "-I", "-S", str(RAW), "handshake")
    await servers.succeed("add", "Bare", sys.executable, "--prefix", "", "--", "-I", "-S", str(RAW), "handshake")
    assert re.search(r"Names begin: +r2__", await servers.succeed("show", "Raw"))
    assert re.search(r"Names begin: +as they are", await servers.succeed("show", "Bare"))
    assert "The prefix" in await servers.fail("add", "Odd", sys.executable, "--prefix", "a b")


async def test_a_server_of_another_tenant_is_its_own(
    servers: CommandLine, modelgate: CommandLine, parts: Components
) -> None:
    await create_tenant(parts.database, "other", "")
    await servers.succeed("add", "Raw", sys.executable, "--tenant", "other", "--", "-I", "-S", str(RAW), "handshake")
    assert "Raw" in await servers.succeed("list", "--tenant", "other")
    assert "Raw" not in await servers.succeed("list")
    assert "1 of 1 servers are synced" in await modelgate.succeed("sync", "Raw", "--tenant", "other")
    await servers.succeed("remove", "Raw", "--tenant", "other")


@pytest.mark.parametrize(
    "wrong",
    [
        ("https://x.example", "--env", "A=b"),
        ("https://x.example", "--cwd", "/"),
        (sys.executable, "--header", "A:b"),
        ("https://x.example", "--base-url", "https://y.example"),
    ],
)
def test_an_option_that_is_not_for_what_is_added_is_refused(wrong: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError, match="--"):
        cli.main(["servers", "add", "X", *wrong], standalone_mode=False)


async def test_a_name_that_is_taken_is_told(modelgate: CommandLine) -> None:
    await modelgate("servers", "add", "One", "http://127.0.0.1:1/mcp")
    again = await modelgate("servers", "add", "One", "http://127.0.0.1:1/mcp")
    assert (again.code, again.err) == (
        1,
        "Error: There is a server named 'One' already; choose another name or remove that one first.\n",
    )


async def test_servers_are_imported_and_the_bad_ones_told(modelgate: CommandLine, tmp_path: Path) -> None:
    entries = {
        "good": {"command": "x", "env": {"TOKEN": "secret"}},
        "web": {"url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": "Bearer secret"}},
        "neither": {},
        "bad/name": {"command": "x"},
    }
    (tmp_path / "client.json").write_text(json.dumps({"mcpServers": entries}))
    ended = await modelgate("servers", "import", "client.json")
    assert ended.code == 1
    assert "Not added: neither: there is neither a command nor a url.\n" in ended.err
    assert "Not added: The server name 'bad/name' may not hold a slash" in ended.err
    assert ended.out == "2 of 4 servers are added; bring their tools in with modelgate sync.\n"
    again = await modelgate("servers", "import", "client.json")
    assert (again.code, again.out.split(" are")[0]) == (1, "0 of 4 servers")
    shown = await modelgate("servers", "list")
    assert "secret" not in shown.out
    (tmp_path / "client.json").write_text("{")
    assert (await modelgate("servers", "import", "client.json")).err.startswith("Error: This is not valid JSON: ")
