"""Calls of upstream tools, as clients of every kind see them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from gateway.access.caller import Caller
from gateway.catalog.servers.tuning import Tuning
from gateway.downstream.client_request import ClientRequest
from gateway.telemetry.trace_context import current_request_id
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect, Era
from tests.downstream.talker_results import EVERYTHING
from tests.support.gateway import RunningGateway

ERAS: tuple[Era, ...] = ("handshake", "modern")


def said(result: Any) -> Any:
    """What the talker says in the first text block."""
    content = result["content"] if isinstance(result, dict) else result.content
    text = content[0]["text"] if isinstance(content[0], dict) else content[0].text
    return json.loads(text)


@pytest.mark.parametrize("era", ERAS)
async def test_a_result_arrives_field_by_field_as_the_upstream_gave_it(
    gateway: RunningGateway, add_talker: AddTalker, era: Era
) -> None:
    await add_talker(era=era)
    result = await gateway.call("talker__everything")
    for key, value in EVERYTHING.items():
        assert result[key] == value
    through_tool = await gateway.call("tool_call", {"name": "talker__everything"})
    assert through_tool == result
    # Numbers keep their kind, too.
    assert json.dumps(result["structuredContent"]) == json.dumps(EVERYTHING["structuredContent"])


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
@pytest.mark.parametrize("era", ERAS)
async def test_a_call_works_from_every_era_to_every_era(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)
    async with connect(mode) as client:
        meta: Any = {"caller/key": "kept"}
        result = await client.call_tool("talker__echo", {"a": [1, None]}, meta=meta)
        params = said(result)["params"]
        assert params["name"] == "echo"
        assert params["arguments"] == {"a": [1, None]}
        assert params["_meta"]["caller/key"] == "kept"
        again = await client.call_tool("tool_call", {"name": "Talker/echo", "arguments": {"b": 2}})
        assert said(again)["params"]["arguments"] == {"b": 2}


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
@pytest.mark.parametrize("era", ERAS)
async def test_progress_reaches_the_caller(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str, era: Era
) -> None:
    await add_talker(era=era)
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with connect(mode) as client:
        await client.call_tool("talker__progress", {}, progress_callback=hear)
    assert heard == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_log_messages_reach_the_caller_at_the_level_it_wants(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker(era="handshake")
    heard: list[str] = []

    async def hear(params: Any) -> None:
        heard.append(params.data["said"])

    async with connect(mode, logging_callback=hear, log_level="warning") as client:
        if mode == HANDSHAKE:
            with pytest.warns(MCPDeprecationWarning):
                await client.set_logging_level("warning")
        await client.call_tool("talker__log", {})
    assert heard == ["error"]


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_an_upstream_error_keeps_its_code_message_and_data(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker()
    async with connect(mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("talker__refuse", {})
    assert (refused.value.error.code, refused.value.error.message) == (-31999, "not today")
    assert refused.value.error.data == {"retry": [7]}
    error = (await gateway.request("tools/call", {"name": "talker__refuse"}))["error"]
    assert error == {"code": -31999, "message": "not today", "data": {"retry": [7]}}


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_wrong_arguments_are_answered_with_the_schema_that_they_have_to_fit(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker()
    schema = {"name": "talker__misfit", "inputSchema": {"type": "object"}}
    refused = {"message": "Invalid how"}
    wrong = {"text": "1 validation error for misfit"}
    async with connect(mode) as client:
        for name, given in (
            ("talker__misfit", refused),
            ("talker__misfit", wrong),
            ("tool_call", {"name": "Talker/misfit", "arguments": refused}),
            ("tool_call", {"name": "misfit", "arguments": wrong}),
        ):
            result = await client.call_tool(name, given)
            assert result.is_error
            first, second = (block.text for block in result.content if block.type == "text")
            assert first in ('Invalid how\n{"path":["how"]}', wrong["text"])
            assert json.loads(second) == schema


async def test_other_errors_stay_as_they_are(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    for given in ({"text": "The file is not there"}, {"text": "wrong arguments?", "isError": False}):
        result = await gateway.call("talker__misfit", given)
        assert [block["text"] for block in result["content"]] == [given["text"]]
    unknown = {"name": "talker__misfit", "arguments": {"message": "Unknown tool: a"}}
    error = (await gateway.request("tools/call", unknown))["error"]
    assert (error["code"], error["message"]) == (-32602, "Unknown tool: a")


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_a_call_that_is_given_up_is_cancelled_upstream(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    talker = await add_talker(era="handshake")
    async with connect(mode) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "talker__hang", {})
            hanging = (await talker.wait_for_log("hanging ")).split()[1]
            tasks.cancel_scope.cancel()
        assert await talker.wait_for_log("cancelled ") == f"cancelled {hanging}"
        assert said(await client.call_tool("talker__echo", {}))["label"] == "Talker"


async def test_a_plain_post_that_is_given_up_is_cancelled_upstream(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    talker = await add_talker()
    call = asyncio.ensure_future(gateway.request("tools/call", {"name": "talker__hang"}))
    hanging = (await talker.wait_for_log("hanging ")).split()[1]
    call.cancel()
    assert await talker.wait_for_log("cancelled ") == f"cancelled {hanging}"


async def test_a_call_that_hangs_times_out_is_cancelled_and_holds_up_nobody(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int
) -> None:
    talker = await add_talker()
    await gateway.parts.servers.set_tuning(tenant_id, talker.id, Tuning(call_timeout_seconds=2.0))
    # A changed server is started anew.
    await gateway.parts.sync.run(tenant_id, talker.id)
    hanging = asyncio.ensure_future(gateway.call("talker__hang"))
    await talker.wait_for_log("hanging ")
    assert said(await gateway.call("talker__echo"))["label"] == "Talker"
    result = await hanging
    assert result["isError"]
    assert "Talker" in result["content"][0]["text"]
    await talker.wait_for_log("cancelled ")


async def test_a_server_that_dies_in_a_call_is_named_at_once_and_the_next_call_works(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker("Mortal")
    with anyio.fail_after(5):
        result = await gateway.call("mortal__die")
    assert result["isError"]
    assert "Mortal" in result["content"][0]["text"]
    assert said(await gateway.call("mortal__echo"))["label"] == "Mortal"


async def test_two_servers_with_the_same_tool_are_told_apart(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker("North")
    await add_talker("South")
    assert said(await gateway.call("north__echo"))["label"] == "North"
    assert said(await gateway.call("South/echo"))["label"] == "South"
    assert said(await gateway.call("south:echo"))["label"] == "South"


async def test_a_tools_own_name_is_enough_where_no_other_tool_has_it(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker("North")
    assert said(await gateway.call("echo"))["label"] == "North"
    await add_talker("South")
    error = (await gateway.request("tools/call", {"name": "echo"}))["error"]
    assert error["code"] == -32602
    assert error["message"] == '2 tools are called "echo": north__echo, south__echo; call one of them by this name.'
    result = await gateway.request("tools/call", {"name": "tool_call", "arguments": {"name": "echo"}})
    assert "north__echo, south__echo" in json.dumps(result)


async def test_a_tool_that_vanishes_between_search_and_call_is_a_clear_error(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int
) -> None:
    talker = await add_talker()
    assert said(await gateway.call("talker__echo"))["label"] == "Talker"
    await gateway.parts.servers.remove(tenant_id, talker.id)
    error = (await gateway.request("tools/call", {"name": "talker__echo"}))["error"]
    assert error["code"] == -32602
    assert "talker__echo" in error["message"]
    assert "tool_search" in error["message"]


async def test_a_proxied_call_asks_the_database_nothing(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    await gateway.call("talker__echo")
    asked: list[str] = []
    fetchrow, fetch, fetchval = (getattr(gateway.parts.database, name) for name in ("fetchrow", "fetch", "fetchval"))

    def spied(original: Any) -> Any:
        async def run(name: str, *args: Any, **numbers: int) -> Any:
            if current_request_id():  # What goes on beside requests asks what it needs.
                asked.append(name)
            return await original(name, *args, **numbers)

        return run

    database: Any = gateway.parts.database
    database.fetchrow, database.fetch, database.fetchval = spied(fetchrow), spied(fetch), spied(fetchval)
    for _ in range(3):
        await gateway.call("talker__echo")
    assert asked == []
    await gateway.call("tool_search", {"query": "what nobody has asked before"})
    assert asked


async def test_every_request_has_an_upstream_session_key_of_its_own_client() -> None:
    one = ClientRequest(Caller(1, 7, "a", (1,)), "tools/call", {})
    other = ClientRequest(Caller(1, 8, "b", (1,)), "tools/call", {})
    session = ClientRequest(Caller(1, 7, "a", (1,)), "tools/call", {}, era="handshake", session_id="s")
    assert len({one.upstream_session_key, other.upstream_session_key, session.upstream_session_key}) == 3
