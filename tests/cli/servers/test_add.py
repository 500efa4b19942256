"""`modelgate servers add`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import pytest

from gateway.access.tenants import create_tenant
from gateway.cli import cli
from gateway.components import Components
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
    command = (sys.executable, "--tenant", "other", "--", "-I", "-S", str(RAW), "handshake")
    assert "modelgate sync Raw --tenant other." in await servers.succeed("add", "Raw", *command)
    assert "Raw" in await servers.succeed("list", "--tenant", "other")
    assert "Raw" not in await servers.succeed("list")
    assert "1 of 1 servers are synced" in await modelgate.succeed("sync", "Raw", "--tenant", "other")
    await servers.succeed("remove", "Raw", "--yes", "--tenant", "other")


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Docs", "--url"), "'--url'. A URL follows the name by itself: modelgate servers add Docs https://"),
        (("Docs", "--url", "https://x.example"), "'--url'. A URL follows the name by itself"),
        (("--url=https://x.example", "Docs"), "'--url'. A URL follows the name by itself"),
        (("Docs", "--command", "npx"), "'--command'. A command follows the name by itself"),
        (("--transport", "http", "Docs", "https://x.example"), "'--transport'. A URL speaks streamable HTTP"),
        (("Docs", "https://x.example", "--baerer", "token"), "'--baerer'.*'--bearer'"),
        (("Docs", "https://x.example", "tools"), "'tools' stands after 'https://x.example', which takes no arguments"),
        (("Docs",), "Missing argument 'TARGET'.*servers add Docs https://"),
        ((), "Missing argument 'NAME'.*servers add Docs https://"),
    ],
)
def test_what_is_no_option_is_no_command_either(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        cli.main(["servers", "add", *words], standalone_mode=False)
    assert re.search(said, refused.value.format_message())


@pytest.mark.parametrize("target", ["x.example/mcp", "localhost:8080", "https:/x.example/mcp", "htp:/x.example"])
def test_a_url_that_is_none_is_no_command(target: str) -> None:
    with pytest.raises(InvalidInputError, match="neither a command nor a URL; a URL begins with http:// or https://"):
        cli.main(["servers", "add", "Docs", target], standalone_mode=False)


async def test_a_name_that_is_taken_is_told(modelgate: CommandLine) -> None:
    await modelgate("servers", "add", "One", "http://127.0.0.1:1/mcp")
    again = await modelgate("servers", "add", "One", "http://127.0.0.1:1/mcp")
    assert (again.code, again.err) == (
        1,
        "Error: There is a server named 'One' already; choose another name or remove that one first. [conflict]\n",
    )
