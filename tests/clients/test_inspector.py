"""The inspector of the protocol's authors as a client of the gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.clients.install import PROGRAMS
from tests.support.gateway import RunningGateway, add_local_mcp


@pytest.mark.usefixtures("installed")
async def test_the_inspector_lists_finds_and_calls(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)

    async def inspect(*arguments: str) -> dict[str, Any]:
        command = [str(PROGRAMS / "mcp-inspector"), "--cli", gateway.mcp, "--transport", "http"]
        ended = await anyio.run_process([*command, "--header", f"X-API-Key: {gateway.key}", *arguments], check=False)
        assert ended.returncode == 0, ended.stderr.decode()
        said: dict[str, Any] = json.loads(ended.stdout)
        return said

    listed = await inspect("--method", "tools/list")
    assert {"tool_search", "tool_call"} <= {tool["name"] for tool in listed["tools"]}

    asked = ["--method", "tools/call", "--tool-name"]
    found = await inspect(*asked, "tool_search", "--tool-arg", "query=calculate math expressions")
    name = json.loads(found["content"][0]["text"])["tools"][0]["name"]
    arguments = json.dumps({"expression": "6 * 7"})
    answer = await inspect(*asked, "tool_call", "--tool-arg", f"name={name}", "--tool-arg", f"arguments={arguments}")
    assert "42" in answer["content"][0]["text"]
