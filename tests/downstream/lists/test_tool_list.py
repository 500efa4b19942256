"""tools/list: who sees what, in which pages, and how soon a change is seen."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from gateway.components import Components, open_components
from gateway.downstream.application import McpLimits
from gateway.settings import Settings
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.rows import rows


async def listed(gateway: RunningGateway, key: str | None = None) -> list[str]:
    result = (await gateway.request("tools/list", **{"X-API-Key": key or gateway.key}))["result"]
    return [tool["name"] for tool in result["tools"]]


async def test_a_caller_is_listed_the_gateway_tools_and_its_allowed_tools_in_order(
    gateway: RunningGateway, add_talker: AddTalker, listing_key: str
) -> None:
    await add_talker("Zebra")
    await add_talker("Ant")
    assert await listed(gateway) == ["tool_search", "tool_call"]
    names = await listed(gateway, listing_key)
    assert names[:2] == ["tool_search", "tool_call"]
    assert names[2:] == sorted(names[2:])
    assert {"ant__echo", "zebra__echo"} <= set(names)


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_sdk_clients_list_the_same_and_a_list_is_private(
    gateway: RunningGateway, add_talker: AddTalker, listing_key: str, connect: Connect, mode: str
) -> None:
    await add_talker()
    async with connect(mode, listing_key) as client:
        result = await client.list_tools()
        assert [tool.name for tool in result.tools] == await listed(gateway, listing_key)
        if mode == MODERN:
            assert result.cache_scope == "private"
        assert client.instructions is not None
        assert "tool_search" in client.instructions


async def test_the_description_of_tool_search_says_what_is_behind_it(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker("Weather Station")
    tools = (await gateway.request("tools/list"))["result"]["tools"]
    assert "14 tools of 1 servers" in tools[0]["description"]
    assert "Weather Station (14)" in tools[0]["description"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "\ud800", "bm9fdG9vbA==", 5, {}, "x" * 10_000])
async def test_a_cursor_of_no_list_is_an_invalid_parameter(gateway: RunningGateway, cursor: object) -> None:
    assert (await gateway.request("tools/list", {"cursor": cursor}))["error"]["code"] == -32602


async def test_a_change_is_seen_by_the_next_request_of_the_same_process(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int
) -> None:
    talker = await add_talker()
    role = await create_role(gateway.parts.database, tenant_id, "narrow")
    key = (await gateway.parts.keys.create(tenant_id, "narrow", ["narrow"])).key
    assert await listed(gateway, key) == ["tool_search", "tool_call"]
    await set_rule(gateway.parts.database, tenant_id, role.id, "ALLOW", server_id=talker.id)
    assert "talker__echo" in await listed(gateway, key)
    await set_rule(gateway.parts.database, tenant_id, role.id, "DENY", server_id=talker.id)
    assert await listed(gateway, key) == ["tool_search", "tool_call"]
    error = (await gateway.request("tools/call", {"name": "talker__echo"}, **{"X-API-Key": key}))["error"]
    assert error["code"] == -32602


@pytest.fixture
async def other_process(settings: Settings, gateway: RunningGateway) -> AsyncIterator[Components]:
    """Parts on the same database with connections of their own, as another process has them."""
    async with open_components(settings) as parts:
        yield parts


async def seconds_until(happened: Callable[[], Awaitable[bool]]) -> float:
    """How long it takes until something has happened."""
    begun = time.monotonic()
    with anyio.fail_after(10):
        while True:
            if await happened():
                break
            await asyncio.sleep(0.001)
    return time.monotonic() - begun


async def test_a_change_in_another_process_is_seen_within_a_fifth_of_a_second(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, other_process: Components
) -> None:
    talker = await add_talker()
    role = await create_role(gateway.parts.database, tenant_id, "narrow")
    key = (await gateway.parts.keys.create(tenant_id, "narrow", ["narrow"])).key
    assert await listed(gateway, key) == ["tool_search", "tool_call"]
    took: list[float] = []
    ordinary: list[float] = []
    for visibility in ("ALLOW", "DENY", "ALLOW", "SEARCH", "ALLOW"):

        async def seen(is_listed: bool = visibility == "ALLOW") -> bool:
            return ("talker__echo" in await listed(gateway, key)) == is_listed

        await set_rule(other_process.database, tenant_id, role.id, visibility, server_id=talker.id)
        took.append(await seconds_until(seen))
        ordinary.append(await seconds_until(seen))
    # What a request takes on this machine, where there is nothing to wait for, is no delay.
    assert statistics.median(took) < 0.2 + 4 * statistics.median(ordinary)


async def test_a_key_revoked_in_another_process_opens_nothing_within_a_fifth_of_a_second(
    gateway: RunningGateway, tenant_id: int, other_process: Components
) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    took: list[float] = []
    ordinary: list[float] = []
    for number in range(5):
        new = await gateway.parts.keys.create(tenant_id, f"short-lived {number}", ["all"])
        assert (await gateway.post(message, **{"X-API-Key": new.key})).is_success

        async def refused(key: str = new.key) -> bool:
            return (await gateway.post(message, **{"X-API-Key": key})).status_code == 401

        await other_process.keys.revoke(tenant_id, new.id)
        took.append(await seconds_until(refused))
        ordinary.append(await seconds_until(refused))
    assert statistics.median(took) < 0.2 + 4 * statistics.median(ordinary)


async def test_nothing_is_kept_while_no_notices_come_in(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int, other_process: Components
) -> None:
    talker = await add_talker()
    role = await create_role(gateway.parts.database, tenant_id, "narrow")
    key = (await gateway.parts.keys.create(tenant_id, "narrow", ["narrow"])).key
    assert await listed(gateway, key) == ["tool_search", "tool_call"]
    gateway.parts.notices.connected = False
    await set_rule(other_process.database, tenant_id, role.id, "ALLOW", server_id=talker.id)
    assert "talker__echo" in await listed(gateway, key)


async def test_a_server_with_an_empty_prefix_shows_its_own_names(
    gateway: RunningGateway, add_talker: AddTalker, listing_key: str
) -> None:
    await add_talker(prefix="")
    await add_talker("Other", prefix="ot")
    names = await listed(gateway, listing_key)
    assert {"echo", "everything", "ot__echo"} <= set(names)
    assert not (await gateway.call("echo"))["content"][0]["text"].startswith("Unknown")


class TestPages:
    """With a gateway whose pages hold five tools."""

    @pytest.fixture
    async def gateway(self, parts: Components) -> AsyncIterator[RunningGateway]:
        async with running_gateway(parts, McpLimits(tool_page_size=5)) as running:
            yield running

    @pytest.fixture
    async def whole(self, gateway: RunningGateway, add_talker: AddTalker) -> list[str]:
        """The names of all tools in their order."""
        await add_talker()
        tools = await rows(gateway.parts.database.url, "SELECT exposed_name FROM tools")
        return ["tool_search", "tool_call", *sorted(tool["exposed_name"] for tool in tools)]

    async def test_a_long_list_comes_in_pages_that_hold_every_tool_once(
        self, gateway: RunningGateway, whole: list[str], listing_key: str
    ) -> None:
        seen: list[str] = []
        params: dict[str, Any] = {}
        while True:
            page = (await gateway.request("tools/list", params, **{"X-API-Key": listing_key}))["result"]
            assert len(page["tools"]) <= 5
            seen += [tool["name"] for tool in page["tools"]]
            if "nextCursor" not in page:
                break
            params = {"cursor": page["nextCursor"]}
        assert seen == whole

    async def test_the_sdk_walks_all_pages_by_cursor(
        self, whole: list[str], listing_key: str, connect: Connect
    ) -> None:
        names: list[str] = []
        cursor = None
        async with connect(MODERN, listing_key) as client:
            while True:
                page = await client.list_tools(cursor=cursor)
                names += [tool.name for tool in page.tools]
                cursor = page.next_cursor
                if cursor is None:
                    break
        assert names == whole


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"Mcp-Method": "tools/call"}, 400),
        ({"MCP-Protocol-Version": "2099-01-01"}, 400),
        ({"Accept": "text/html"}, 406),
    ],
)
async def test_a_modern_list_is_judged_by_its_headers(
    gateway: RunningGateway, changes: dict[str, str], status: int
) -> None:
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/list",
        **changes,
    }
    meta = {
        "io.modelcontextprotocol/protocolVersion": headers["MCP-Protocol-Version"],
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    response = await gateway.post(
        {"jsonrpc": "2.0", "id": "a", "method": "tools/list", "params": {"_meta": meta}}, **headers
    )
    assert response.status_code == status
    if status == 200:
        answer = response.json()
        assert answer["id"] == "a"
        assert answer["result"]["resultType"] == "complete"
        assert answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "modelgate"
        assert [tool["name"] for tool in answer["result"]["tools"]] == ["tool_search", "tool_call"]
