"""Sessions that are open in one process and used through another."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import ElicitRequestParams, ElicitResult

from tests.cluster.conftest import Pair, cluster_of
from tests.cluster.test_processes import ACCEPT, INITIALIZE
from tests.downstream.conftest import text_of
from tests.downstream.listening import PROMPTS, add_notifying_server


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_is_served_whichever_process_gets_each_of_its_requests(pair: Pair, mode: str) -> None:
    await pair.add_talker()
    async with pair.client(mode=mode) as client:
        for _ in range(4):
            assert "params" in text_of(await client.call_tool("talker__echo", {"a": 1}))
            assert "tool_search" in [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_what_a_server_asks_in_the_midst_of_a_call_reaches_the_client(pair: Pair, mode: str) -> None:
    await pair.add_talker()

    async def choose(_: Any, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"colour": "blue"})

    async with pair.client(mode=mode, elicitation_callback=choose) as client:
        for _ in range(3):
            assert "blue" in text_of(await client.call_tool("talker__ask", {}))


async def test_progress_and_log_messages_come_in_order_and_before_the_result(pair: Pair) -> None:
    talker = await pair.add_talker()
    elsewhere = pair.other_than(pair.owner_of(talker))
    heard: list[Any] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with pair.client(elsewhere, mode="legacy") as client:
        await client.call_tool("talker__progress", {}, progress_callback=hear)
    assert heard == [(step, 3, f"step {step}") for step in (1, 2, 3)]
    assert talker.id not in cluster_of(elsewhere).owners.owned()


async def test_a_stream_that_broke_off_goes_on_through_another_process(pair: Pair) -> None:
    server = await add_notifying_server(pair.first, pair.folder, "handshake", prompts=[{"name": "greet"}])
    holder, other = pair.both
    opened = await holder.post(INITIALIZE, **ACCEPT)
    headers = {**ACCEPT, "X-API-Key": holder.key, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
    await other.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, **headers)
    listing = {"jsonrpc": "2.0", "id": 2, "method": "prompts/list"}
    assert "greet" in (await other.post(listing, **headers)).text
    last_id = ""
    for number in range(2):
        resumed = {"Last-Event-ID": last_id} if last_id else {}
        async with other.http.stream("GET", "/mcp", headers={**headers, **resumed}) as response:
            assert response.status_code == 200
            server.set_lists(prompts=[{"name": f"part {number}"}])
            await server.notify(PROMPTS)
            async for line in response.aiter_lines():
                if line.startswith("id: "):
                    last_id = line[4:]
                if "prompts/list_changed" in line:
                    break
        await other.post(listing, **headers)
    assert (await other.http.delete("/mcp", headers=headers)).status_code == 200
    assert (await holder.post(listing, **headers)).status_code == 404


async def test_messages_of_an_sse_stream_may_go_to_any_process(pair: Pair) -> None:
    holder, other = pair.both
    async with holder.http.stream("GET", "/sse", headers={"X-API-Key": holder.key}) as response:
        lines = response.aiter_lines()
        address = ""
        async for line in lines:
            if line.startswith("data: "):
                address = line[6:]
                break
        posted = await other.http.post(address, json=INITIALIZE, headers={"X-API-Key": holder.key})
        assert posted.status_code == 202, posted.text
        async for line in lines:
            if line.startswith("data: "):
                assert '"serverInfo"' in line
                break
