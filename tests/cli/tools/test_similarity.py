"""`modelgate tools similar` and `modelgate tools duplicates`."""

from __future__ import annotations

import json
from pathlib import Path

from anyio.to_thread import run_sync as to_thread

from gateway.components import open_components
from gateway.settings import Settings
from tests.cli.shell import Shell
from tests.support.gateway import add_local_mcp


async def test_tools_that_do_the_same_are_shown_as_far_as_a_role_can_find_them(
    settings: Settings, tmp_path: Path
) -> None:
    async with open_components(settings) as parts:
        for name in ("Local MCP", "Spare MCP"):
            await add_local_mcp(parts, tmp_path, name=name)
    shell = Shell(
        {
            "MODELGATE_DATABASE_URL": settings.database.url,
            "MODELGATE_DATA_DIR": str(settings.data_dir),
            "MODELGATE_EMBEDDER_TYPE": "builtin",
        }
    )

    def look() -> None:
        similar = shell.says("tools", "similar", "local_mcp/calculator").splitlines()
        assert similar[1].startswith("0.9")
        assert "duplicate" in similar[1]
        assert "spare_mcp__calculator" in similar[1]
        assert "Several tools are called 'calculator'" in shell.fails("tools", "similar", "calculator")
        assert "There is no tool 'nope'" in shell.fails("tools", "similar", "nope")
        assert shell.says("tools", "duplicates").endswith("4 groups among 8 tools.\n")

        shell.says("roles", "create", "few")
        shell.says("roles", "set", "few", "search", "--server", "local_mcp")
        few = json.loads(shell.says("tools", "similar", "calculator", "--role", "few", "--json"))
        assert {tool["server_name"] for tool in few} == {"Local MCP"}
        assert "0 groups among 4 tools." in shell.says("tools", "duplicates", "--role", "few")
        assert "There is no tool" in shell.fails("tools", "similar", "spare_mcp__calculator", "--role", "few")
        assert json.loads(shell.says("tools", "duplicates", "--threshold", "0.5", "--same-server", "--json"))["groups"]

    await to_thread(look)
