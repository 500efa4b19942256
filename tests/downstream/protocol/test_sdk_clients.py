"""The gateway as official SDK clients of both eras see it, and as curl does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.support.gateway import RunningGateway, add_local_mcp

Mode = Literal["auto", "legacy"]
MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])


@contextlib.asynccontextmanager
async def connected(gateway: RunningGateway, mode: Mode) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {gateway.key}"}, timeout=30) as http,
        Client(streamable_http_client(gateway.mcp, http_client=http), mode=mode) as client,
    ):
        yield client


def text_of(result: Any) -> str:
    text: str = result.content[0].text
    return text


@MODES
async def test_a_client_lists_searches_and_calls(gateway: RunningGateway, tmp_path: Path, mode: Mode) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    async with connected(gateway, mode) as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["tool_search", "tool_call"]
        assert "4 tools of 1 servers" in str(listed.tools[0].description)

        found = await client.call_tool("tool_search", {"query": "calculate math expressions"})
        tool = json.loads(text_of(found))["tools"][0]
        assert tool["name"] == "local_mcp__calculator"

        for name in ("local_mcp__calculator", "Local MCP/calculator", "local_mcp/calculator"):
            result = await client.call_tool(name, {"expression": "6 * 7"})
            assert (result.is_error, json.loads(text_of(result))["result"]) == (False, 42)
        called = await client.call_tool("tool_call", {"name": tool["name"], "arguments": {"expression": "6 * 7"}})
        assert json.loads(text_of(called))["result"] == 42


@MODES
async def test_bad_arguments_are_a_result_that_a_model_can_read(gateway: RunningGateway, mode: Mode) -> None:
    async with connected(gateway, mode) as client:
        result = await client.call_tool("tool_search", {"query": "x", "max_results": 0})
    assert result.is_error
    assert text_of(result) == "max_results has to be a whole number from 1 to 50, not 0."


@MODES
async def test_many_clients_at_once_get_each_their_own_answers(
    gateway: RunningGateway, tmp_path: Path, mode: Mode
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)

    async def sum_of(number: int) -> Any:
        async with connected(gateway, mode) as client:
            result = await client.call_tool("local_mcp__calculator", {"expression": f"{number} + 1"})
            return json.loads(text_of(result))["result"]

    assert await asyncio.gather(*(sum_of(number) for number in range(8))) == list(range(1, 9))


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_curl_needs_nothing_but_the_key(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)

    async def curl(method: str, params: Any = None) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params else {})}
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "--noproxy", "*", gateway.mcp),
            *("-H", f"Authorization: Bearer {gateway.key}", "-H", "Content-Type: application/json"),
            *("-d", json.dumps(body)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(output)["result"]

    assert [tool["name"] for tool in (await curl("tools/list"))["tools"]] == ["tool_search", "tool_call"]
    search = {"name": "tool_search", "arguments": {"query": "calculate math expressions"}}
    found = json.loads((await curl("tools/call", search))["content"][0]["text"])
    call = {"name": found["tools"][0]["name"], "arguments": {"expression": "6 * 7"}}
    assert json.loads((await curl("tools/call", call))["content"][0]["text"])["result"] == 42
