"""`modelgate setup`, as a user types it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.catalog.client_config.client import CLIENTS
from tests.cli.process import CommandLine


@pytest.fixture
def home(modelgate: CommandLine) -> CommandLine:
    """Runs `modelgate` for a user whose home is the test's folder."""
    return replace(modelgate, environ={**modelgate.environ, "HOME": str(modelgate.folder)})


async def test_the_gateway_is_put_into_a_client_and_taken_out_again(home: CommandLine) -> None:
    path = home.folder / ".cursor" / "mcp.json"
    path.parent.mkdir()
    text = '{\n  "mcpServers": {\n    "files": {"command": "x", "env": {"A": "${B}"}} // mine\n  }\n}\n'
    path.write_text(text)
    asked = await home("setup", "cursor")
    assert asked.code == 1
    assert asked.err == "Nothing is written; modelgate setup cursor --yes writes it.\n"
    assert '+    "modelgate": {' in asked.out
    assert path.read_text() == text
    assert (await home("keys", "list")).out.startswith("There are no keys yet")

    done = await home("setup", "cursor", "--yes", "--import")
    assert done.code == 0, done.err
    assert "1 of 1 servers are added" in done.out
    assert "files is left disabled: there is no value for B" in done.err
    assert "Cursor has the gateway now, at http://127.0.0.1:8080/mcp." in done.out
    assert re.search("mg_[0-9a-f]{64}", done.out) is None
    key = re.search("mg_[0-9a-f]{64}", path.read_text())
    assert key is not None
    assert '"url": "http://127.0.0.1:8080/mcp"' in path.read_text()
    assert "Cursor" in await home.succeed("keys", "list")
    listed = next(line for line in (await home.succeed("setup")).splitlines() if line.startswith("cursor "))
    assert " set up " in listed

    # A second time there is nothing to do, and another address keeps the key.
    assert "has the gateway already" in await home.succeed("setup", "cursor", "--yes")
    await home.succeed("setup", "cursor", "--yes", "--url", "https://gate.example")
    assert key[0] in path.read_text()
    assert '"url": "https://gate.example/mcp"' in path.read_text()

    assert "no longer in" in await home.succeed("setup", "cursor", "--undo", "--yes")
    assert path.read_text() == text
    assert "There is no entry modelgate in" in await home.fail("setup", "cursor", "--undo", "--yes")


async def test_claude_desktop_starts_the_gateways_own_bridge_by_its_path(home: CommandLine) -> None:
    key = "mg_" + "ab" * 32
    await home.succeed("setup", "claude-desktop", "--yes", "--key", key, "--file", "desktop.json")
    entry = json.loads((home.folder / "desktop.json").read_text())["mcpServers"]["modelgate"]
    assert Path(entry["command"]).is_absolute()
    assert entry["args"][-1] == "connect"
    assert entry["env"] == {"MODELGATE_URL": "http://127.0.0.1:8080/mcp", "MODELGATE_API_KEY": key}


async def test_an_entry_is_printed_and_nothing_is_written(home: CommandLine) -> None:
    assert (await home.succeed("setup", "codex", "--print")).startswith("[mcp_servers.modelgate]\n")
    assert not (home.folder / ".codex").exists()
    unknown = await home("setup", "emacs")
    assert unknown.code == 2
    assert all(client.id in unknown.err for client in CLIENTS)
