"""Profiles and limits of keys, as clients of a gateway meet them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway.access.caller import Limits
from gateway.access.profiles import Profiles
from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.access.tenants import Tenant, create_tenant
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError
from gateway.settings import Settings
from tests.support.catalogue import StoredTool, add_tools
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.support.waiting import until

OWN = {"tool_search", "tool_call"}


@dataclass(frozen=True)
class At:
    """One key at one address of a gateway."""

    gateway: RunningGateway
    path: str
    key: str

    async def post(self, method: str, params: Any = None) -> httpx2.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return await self.gateway.http.post(self.path, json=body, headers={"X-API-Key": self.key})

    async def listed(self) -> set[str]:
        tools = (await self.post("tools/list")).json()["result"]["tools"]
        return {tool["name"] for tool in tools} - OWN

    async def lists(self, tools: set[str]) -> bool:
        return await self.listed() == tools

    async def found(self, query: str, **more: Any) -> set[str]:
        arguments = {"query": query, "max_results": 50, **more}
        result = (await self.post("tools/call", {"name": "tool_search", "arguments": arguments})).json()["result"]
        return {tool["name"] for tool in json.loads(result["content"][0]["text"])["tools"]}

    async def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        return (await self.post("tools/call", {"name": tool, "arguments": arguments})).json()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Tools without vectors are found by words alone, which is little to go by."""
    return replace(settings, search=replace(settings.search, threshold=0.0))


@pytest.fixture
async def tools(gateway: RunningGateway) -> list[StoredTool]:
    return await add_tools(
        gateway.parts.database,
        1,
        [
            ("github", "create_issue", "git"),
            ("github", "delete_issue", "git"),
            ("jira", "create_issue", "other"),
            ("files", "read_issue", "file-system"),
        ],
    )


async def key_of(gateway: RunningGateway, *roles: str, limits: Limits | None = None) -> str:
    return (await gateway.parts.keys.create(1, "test", roles, limits=limits)).key


async def test_a_key_sees_at_a_profile_what_is_in_both(gateway: RunningGateway, tools: list[StoredTool]) -> None:
    database = gateway.parts.database
    role = await create_role(database, 1, "dev", "SEARCH")
    await set_rule(database, 1, role.id, "DENY", pattern="*delete*")
    await set_rule(database, 1, role.id, "ALLOW", server_id=tools[2].server_id)
    profile = await gateway.parts.profiles.create(1, "issues", "all", "Issues of all kinds.")
    await set_rule(database, 1, profile.id, "SEARCH", server_id=tools[0].server_id)
    await set_rule(database, 1, profile.id, "SEARCH", pattern="files__*")
    key = await key_of(gateway, "dev")
    general, inside = At(gateway, "/mcp", key), At(gateway, "/mcp/p/issues", key)
    assert await general.listed() == {"jira__create_issue"}
    assert await general.found("issue") == {"github__create_issue", "jira__create_issue", "files__read_issue"}
    assert await inside.listed() == await inside.found("issue") == {"github__create_issue", "files__read_issue"}
    assert await inside.found("issue", server="github") == {"github__create_issue"}
    assert await inside.found("issue", category="file-system") == {"files__read_issue"}
    for left_out in ("jira__create_issue", "github__delete_issue"):
        assert "There is no tool" in (await inside.call(left_out, {}))["error"]["message"]
        assert left_out not in await inside.found(left_out)
    search = (await inside.post("tools/list")).json()["result"]["tools"][0]
    assert search["description"].startswith("Issues of all kinds. Find the tools")
    assert "2 tools of 2 servers" in search["description"]


async def test_the_list_mode_says_what_is_listed(gateway: RunningGateway, tools: list[StoredTool]) -> None:
    database, profiles = gateway.parts.database, gateway.parts.profiles
    profile = await profiles.create(1, "issues", "search")
    await set_rule(database, 1, profile.id, "SEARCH", category="git")
    await set_rule(database, 1, profile.id, "ALLOW", tool_id=tools[1].id)
    inside = At(gateway, "/mcp/p/issues", await key_of(gateway, "all"))
    both = {"github__create_issue", "github__delete_issue"}
    assert await inside.listed() == set()
    version = await profiles.update(1, profile.id, profile.version, list_mode="chosen")
    await until(lambda: inside.lists({"github__delete_issue"}))
    with pytest.raises(ConflictError):
        await profiles.update(1, profile.id, profile.version, list_mode="all")
    await profiles.update(1, profile.id, version, list_mode="all")
    await until(lambda: inside.lists(both))
    assert await inside.found("issue") == both


async def test_a_profile_lets_nobody_see_more_than_their_roles(
    gateway: RunningGateway, tools: list[StoredTool]
) -> None:
    database = gateway.parts.database
    await create_role(database, 1, "nothing")
    profile = await gateway.parts.profiles.create(1, "everything", "all")
    await set_rule(database, 1, profile.id, "ALLOW", pattern="*")
    inside = At(gateway, "/mcp/p/everything", await key_of(gateway, "nothing"))
    assert await inside.listed() == await inside.found("issue") == set()
    assert "There is no tool" in (await inside.call("github__create_issue", {}))["error"]["message"]


async def test_an_address_without_a_profile_is_not_found(gateway: RunningGateway) -> None:
    database = gateway.parts.database
    other = await create_tenant(database, "other")
    await gateway.parts.profiles.create(other.id, "theirs")
    for path in ("/mcp/p/none", "/mcp/p/theirs", "/mcp/p/", "/mcp/p/a/b", "/mcp/p/%00", "/mcp/p/ROLE"):
        answer = await At(gateway, path, gateway.key).post("ping")
        assert answer.status_code == 404, path
        assert "There is no profile" in answer.json()["error"]["message"]
        assert (await At(gateway, path, "mg_" + "0" * 64).post("ping")).status_code == 401


async def test_clients_of_both_eras_use_a_profile(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    database = gateway.parts.database
    profile = await gateway.parts.profiles.create(1, "sums", "all")
    await set_rule(database, 1, profile.id, "SEARCH", pattern="*calculator")
    for mode in ("auto", "legacy"):
        async with (
            httpx2.AsyncClient(headers={"X-API-Key": gateway.key}, timeout=30) as http,
            Client(streamable_http_client(f"{gateway.mcp}/p/sums", http_client=http), mode=mode) as client,
        ):
            listed = {tool.name for tool in (await client.list_tools()).tools}
            assert listed == {*OWN, "local_mcp__calculator"}
            result = await client.call_tool("local_mcp__calculator", {"expression": "6 * 7"})
            assert "42" in result.content[0].text  # type: ignore[union-attr]


async def test_a_session_belongs_to_the_address_at_which_it_was_opened(gateway: RunningGateway) -> None:
    await gateway.parts.profiles.create(1, "few")
    start = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    headers = {"X-API-Key": gateway.key, "Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": start}
    opened = await gateway.http.post("/mcp/p/few", json=body, headers=headers)
    headers["Mcp-Session-Id"] = opened.headers["mcp-session-id"]
    headers["MCP-Protocol-Version"] = "2025-06-18"
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert (await gateway.http.post("/mcp/p/few", json=ping, headers=headers)).status_code == 200
    assert (await gateway.http.post("/mcp", json=ping, headers=headers)).status_code == 404


async def test_names_and_modes_that_cannot_be_are_refused(database: Database, tenant: Tenant) -> None:
    profiles = Profiles(database)
    for name in ("", "A", "a b", "a/b", "ä", "a" * 64):
        with pytest.raises(InvalidInputError):
            await profiles.create(tenant.id, name)
    with pytest.raises(InvalidInputError, match="search, all, chosen"):
        await profiles.create(tenant.id, "few", "none")  # type: ignore[arg-type]
    made = await profiles.create(tenant.id, "all")
    with pytest.raises(ConflictError):
        await profiles.create(tenant.id, "all")
    with pytest.raises(ConflictError):
        await profiles.delete(tenant.id, made.id, 5)
    await profiles.delete(tenant.id, made.id)
    with pytest.raises(NotFoundError):
        await profiles.delete(tenant.id, made.id)


async def test_too_many_requests_are_answered_with_429_and_when_to_come_back(gateway: RunningGateway) -> None:
    limited = At(gateway, "/mcp", await key_of(gateway, "all", limits=Limits(requests_per_minute=2)))
    assert [(await limited.post("ping")).status_code for _ in range(2)] == [200, 200]
    refused = await limited.post("ping")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    error = refused.json()["error"]
    assert error["data"] == {"limit": "requests_per_minute", "retryAfter": int(refused.headers["Retry-After"])}
    assert (await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})).status_code == 200


async def test_a_call_over_a_limit_is_refused_by_name(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    daily = At(gateway, "/mcp", await key_of(gateway, "all", limits=Limits(calls_per_day=2)))
    for _ in range(2):
        assert "result" in await daily.call("local_mcp__calculator", {"expression": "1 + 1"})
    error = (await daily.call("local_mcp__calculator", {"expression": "1 + 1"}))["error"]
    assert error["data"]["limit"] == "calls_per_day"
    assert "2 calls a day" in error["message"]
    through = await daily.call("tool_call", {"name": "local_mcp__calculator", "arguments": {"expression": "1 + 1"}})
    assert through["error"]["data"]["limit"] == "calls_per_day"
    # Searching costs no call, and neither does asking for what is not there.
    assert "local_mcp__calculator" in await daily.found("calculate math expressions")
    assert "There is no tool" in (await daily.call("nothing", {}))["error"]["message"]
