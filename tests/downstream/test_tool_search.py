"""tool_search as a client sees it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.gateway import RunningGateway, add_local_mcp


async def test_a_plain_post_finds_a_tool_by_meaning(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    result = await gateway.call("tool_search", {"query": "calculate math expressions"})
    answer = json.loads(result["content"][0]["text"])
    assert list(answer) == ["query", "total_found", "tools"]
    assert answer["total_found"] == 1
    assert answer["tools"][0]["name"] == "local_mcp__calculator"
    assert answer["tools"][0]["_metadata"]["server"] == "Local MCP"
