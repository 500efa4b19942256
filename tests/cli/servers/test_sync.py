"""`modelgate sync`: how each server went, on a terminal and elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import sys
from pathlib import Path
from typing import Any

from tests.cli.process import ROOT, CommandLine
from tests.support.gateway import LOCAL_MCP
from tests.support.listed import listed_command, tool


def listed_server(folder: Path, *tools: Any) -> list[str]:
    """The command of a server that lists `tools`."""
    file = folder / "tools.json"
    file.write_text(json.dumps({"tools": tools}))
    command, arguments = listed_command(file)
    return [command, *arguments]


async def test_a_server_that_fails_is_told_and_the_others_are_synced(modelgate: CommandLine, tmp_path: Path) -> None:
    await modelgate(
        "servers",
        "add",
        "Good",
        "--",
        *listed_server(tmp_path, tool("a"), {"name": "bad", "inputSchema": {"type": "string"}}),
    )
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


async def test_a_server_that_takes_long_to_start_says_what_it_does(modelgate: CommandLine, tmp_path: Path) -> None:
    script = tmp_path / "npx"
    script.write_text("#!/bin/sh\necho 'added 7 packages' >&2\nsleep 2\necho 'Error: no licence' >&2\nexit 3\n")
    script.chmod(0o755)
    await modelgate("servers", "add", "Cold", "--", str(script), "-y", "server")
    synced = await modelgate("sync")
    assert "Cold is starting: added 7 packages" in synced.err
    assert "Cold: failed. Server Cold exited with code 3: Error: no licence" in synced.out
    assert "Cold: Server Cold exited with code 3: Error: no licence" in (await modelgate("servers", "list")).out


async def test_a_sync_shows_a_bar_on_a_terminal(modelgate: CommandLine, tmp_path: Path) -> None:
    await modelgate("servers", "add", "Listed", "--", *listed_server(tmp_path, tool("a"), tool("b")))
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "sync"),
        cwd=tmp_path,
        env={**modelgate.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
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


async def test_how_each_server_went_is_printed_as_json(modelgate: CommandLine) -> None:
    await modelgate.succeed("servers", "add", "Local MCP", "--", sys.executable, str(LOCAL_MCP))
    await modelgate.succeed("servers", "add", "Gone", "--", "no-such-program-here")
    ended = await modelgate("sync", "--json")
    went = {each["server"]: each for each in json.loads(ended.out)}
    assert ended.code == 1
    assert len(went["Local MCP"]["added"]) == 4
    assert went["Gone"]["code"] == "server-unavailable"
