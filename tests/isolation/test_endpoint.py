"""Every MCP method, asked with a key of one tenant for what another has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.access.tenants import create_tenant
from tests.support.gateway import RunningGateway, add_local_mcp


@pytest.fixture
async def stranger(gateway: RunningGateway, tmp_path: Path) -> str:
    """The key of a tenant that may see everything of its own, which is nothing; the default tenant has a server."""
    await add_local_mcp(gateway.parts, tmp_path)
    profile = await gateway.parts.profiles.create(1, "sums", "all")
    await set_rule(gateway.parts.database, 1, profile.id, "ALLOW", pattern="*")
    tenant = await create_tenant(gateway.parts.database, "stranger")
    await create_role(gateway.parts.database, tenant.id, "all", "ALLOW")
    return (await gateway.parts.keys.create(tenant.id, "stranger", ["all"])).key


async def ask(gateway: RunningGateway, key: str, method: str, params: Any = None) -> Any:
    return await gateway.request(method, params or {}, **{"X-API-Key": key})


async def test_lists_of_a_stranger_are_empty(gateway: RunningGateway, stranger: str) -> None:
    tools = (await ask(gateway, stranger, "tools/list"))["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["tool_search", "tool_call"]
    assert "Local" not in json.dumps(tools)
    assert "0 tools of 0 servers" in tools[0]["description"]
    for method, key in (
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ):
        assert (await ask(gateway, stranger, method))["result"][key] == []
    # The owner is told.
    assert "Local MCP" in json.dumps(await ask(gateway, gateway.key, "tools/list"))


async def test_a_stranger_finds_nothing(gateway: RunningGateway, stranger: str) -> None:
    for query in ("calculate math expressions", "local_mcp__calculator", "Local MCP/calculator"):
        found = await ask(gateway, stranger, "tools/call", {"name": "tool_search", "arguments": {"query": query}})
        assert json.loads(found["result"]["content"][0]["text"])["total_found"] == 0
    narrowed = {"name": "tool_search", "arguments": {"query": "calculate", "server": "Local MCP"}}
    assert "none that you can use" in json.dumps(await ask(gateway, stranger, "tools/call", narrowed))


async def test_a_stranger_calls_nothing(gateway: RunningGateway, stranger: str) -> None:
    arguments = {"expression": "1 + 1"}
    for name in ("local_mcp__calculator", "Local MCP/calculator", "local_mcp/calculator", "no_such_tool"):
        direct = {"name": name, "arguments": arguments}
        for params in (direct, {"name": "tool_call", "arguments": direct}):
            error = (await ask(gateway, stranger, "tools/call", params))["error"]
            assert error["message"] == f'There is no tool "{name}"; find the right name with tool_search.'
    others: dict[str, Any] = {
        "prompts/get": {"name": "local_mcp__anything"},
        "resources/read": {"uri": "modelgate://local_mcp/anything"},
        "completion/complete": {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": "b"}},
    }
    for method, about in others.items():
        assert "error" in await ask(gateway, stranger, method, about)


async def test_a_stranger_enters_no_profile_of_another_tenant(gateway: RunningGateway, stranger: str) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await gateway.http.post("/mcp/p/sums", json=ping, headers={"X-API-Key": gateway.key})).status_code == 200
    assert (await gateway.http.post("/mcp/p/sums", json=ping, headers={"X-API-Key": stranger})).status_code == 404
