"""The command line as a user types it: real processes, their words and exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import LOCAL_MCP
from tests.support.listed import listed_command, tool


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Coroutine[Any, Any, Ended]]


@pytest.fixture
def environ(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MODELGATE_")},
        "MODELGATE_DATABASE_URL": database_url,
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(tmp_path / "data"),
        "COLUMNS": "200",
    }


@pytest.fixture
def modelgate(environ: dict[str, str], tmp_path: Path) -> Run:
    """Runs `modelgate` with these arguments."""

    async def run(*arguments: str, **more: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *arguments),
            cwd=tmp_path,
            env={**environ, **more, "PYTHONPATH": str(LOCAL_MCP.parents[1])},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert b"Traceback" not in err
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    return run


def listed(folder: Path, *tools: Any) -> list[str]:
    """The command of a server that lists `tools`."""
    file = folder / "tools.json"
    file.write_text(json.dumps({"tools": tools}))
    command, arguments = listed_command(file)
    return [command, *arguments]


async def test_from_nothing_to_a_found_tool(modelgate: Run, tmp_path: Path) -> None:
    assert (await modelgate("migrate")).out.startswith("The database schema is up to date (")
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

    removed = await modelgate("servers", "remove", "Local MCP")
    assert (removed.code, removed.out) == (0, "Local MCP is removed.\n")


async def test_a_server_that_fails_is_told_and_the_others_are_synced(modelgate: Run, tmp_path: Path) -> None:
    await modelgate("servers", "add", "Good", "--", *listed(tmp_path, tool("a"), {"name": "bad", "inputSchema": {}}))
    await modelgate("servers", "add", "Missing", "--", "/no/such/command")
    await modelgate("servers", "add", "Ends", "--", "/bin/false")
    synced = await modelgate("sync")
    assert synced.code == 1
    assert "Good: 1 added" in synced.out
    assert "bad is left out: inputSchema: its type is not" in synced.out
    assert "Missing: failed. Server Missing cannot be started: there is no command '/no/such/command'" in synced.out
    assert "Ends: failed. Server Ends exited with code 1" in synced.out
    assert synced.out.endswith("1 of 3 servers are synced.\n")
    shown = await modelgate("servers", "list")
    assert shown.code == 0
    assert re.search(r"^Good +stdio +1 +synced ", shown.out, re.MULTILINE)
    assert re.search(r"^Missing +stdio +0 +failing +never", shown.out, re.MULTILINE)
    assert "Missing: Server Missing cannot be started" in shown.out
    assert "Good: tool bad is left out" in shown.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["servers", "remove", "Nobody"], 1, "There is no server 'Nobody'; there are: none."),
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
    ],
)
async def test_a_mistake_is_told_in_a_sentence(modelgate: Run, arguments: list[str], code: int, told: str) -> None:
    ended = await modelgate(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err


async def test_a_name_that_is_taken_is_told(modelgate: Run) -> None:
    await modelgate("servers", "add", "One", "http://127.0.0.1:1/mcp")
    again = await modelgate("servers", "add", "One", "http://127.0.0.1:1/mcp")
    assert (again.code, again.err) == (
        1,
        "Error: There is a server named 'One' already; choose another name or remove that one first.\n",
    )


async def test_servers_are_imported_and_the_bad_ones_told(modelgate: Run, tmp_path: Path) -> None:
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


async def test_keys_are_made_once_listed_without_themselves_and_revoked(modelgate: Run) -> None:
    made = await modelgate("keys", "create", "--name", "mine", "--expires", "30d")
    key = made.out.strip()
    assert re.fullmatch(r"mg_[0-9a-f]{64}", key)
    assert made.err == "Keep this key: it is not shown again.\n"
    shown = await modelgate("keys", "list")
    assert key not in shown.out
    assert key[:9] in shown.out
    number = re.search(r"^(\d+) ", shown.out, re.MULTILINE)
    assert number is not None
    assert (await modelgate("keys", "revoke", number[1])).out == f"Key {number[1]} is revoked.\n"
    assert "revoked" in (await modelgate("keys", "list")).out
    assert (await modelgate("keys", "revoke", number[1])).code == 1


async def test_config_show_masks_secrets(modelgate: Run) -> None:
    shown = await modelgate("config", "show", OPENAI_API_KEY="sk-12345")
    assert shown.code == 0
    assert 'api_key = "********"' in shown.out
    assert "sk-12345" not in shown.out
    assert 'type = "builtin"' in shown.out


async def test_an_unknown_setting_stops_every_command(modelgate: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[search]\nmodel = 1\n")
    ended = await modelgate("servers", "list")
    assert (ended.code, ended.err) == (1, "Error: config.toml, line 2: unknown key search.model. Did you mean mode?\n")


async def test_a_port_that_is_taken_stops_the_start(modelgate: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = await modelgate("serve", MODELGATE_SERVER_PORT=str(port))
    assert ended.code == 1
    assert ended.err.startswith(f"Error: 127.0.0.1:{port} cannot be listened on (Address already in use); ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["servers", "list"]])
async def test_a_data_directory_that_cannot_be_written_stops_the_start(
    modelgate: Run, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    data = str(tmp_path / "file" / "data")
    ended = await modelgate(*command, MODELGATE_DATABASE_URL="", MODELGATE_DATA_DIR=data, MODELGATE_SERVER_PORT="0")
    assert ended.code == 1
    assert ended.err.startswith(f"Error: The data directory {data} cannot be written (Not a directory); ")
    assert ended.err.count("\n") == 1


async def test_a_database_that_cannot_be_reached_stops_the_start(modelgate: Run) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/x"
    ended = await modelgate("serve", MODELGATE_DATABASE_URL=url, MODELGATE_SERVER_PORT="0")
    assert ended.code == 1
    assert ended.err.startswith("Error: The database at 127.0.0.1:1/x cannot be reached (")
    assert "secret" not in ended.err
    assert ended.err.count("\n") == 1


async def test_a_sync_shows_a_bar_on_a_terminal(modelgate: Run, environ: dict[str, str], tmp_path: Path) -> None:
    await modelgate("servers", "add", "Listed", "--", *listed(tmp_path, tool("a"), tool("b")))
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "sync"),
        cwd=tmp_path,
        env={**environ, "PYTHONPATH": str(LOCAL_MCP.parents[1]), "TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    try:
        while chunk := await asyncio.to_thread(os.read, master, 4096):
            shown += chunk
    except OSError:
        # A terminal whose last process has ended cannot be read any more.
        pass
    finally:
        os.close(master)
    assert await process.wait() == 0
    text = shown.decode()
    assert "Syncing  [" in text
    assert "100%" in text
    assert "Listed: 2 added" in text
    assert text.rstrip().endswith("1 of 1 servers are synced.")
