"""Answers that are larger than what clients read in one event of a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect
from tests.support.gateway import RunningGateway

PICTURE = 1_500_000
EVENT_LIMIT = 1024 * 1024


async def session_of(gateway: RunningGateway, accept: str) -> dict[str, str]:
    """The headers of a handshake session."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    opened = await gateway.post(body, Accept=accept)
    return {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25", "Accept": accept}


def call(name: str, arguments: Any, progress: bool) -> dict[str, Any]:
    meta = {"_meta": {"progressToken": "p"}} if progress else {}
    return {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": name, "arguments": arguments, **meta}}


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_a_large_picture_that_comes_twice_reaches_the_clients_of_the_sdk(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    talker = await add_talker()
    async with connect(mode) as client:
        result: Any = await client.call_tool(f"{talker.slug}__big", {"picture": PICTURE})
        assert [len(block.data) for block in result.content[1:]] == [PICTURE, PICTURE]
        # The client is as well as before.
        await client.call_tool(f"{talker.slug}__echo", {})


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_where_a_stream_has_begun_it_is_cut_to_what_an_event_holds(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    talker = await add_talker()
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with connect(mode) as client:
        arguments = {"picture": PICTURE}
        result: Any = await client.call_tool(f"{talker.slug}__big", arguments, progress_callback=on_progress)
        assert seen == [1]
        assert result.content[0].text == "twice"
        assert "'image' of 1,500,0" in result.content[-1].text
        await client.call_tool(f"{talker.slug}__echo", {})


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("progress", [False, True])
async def test_an_answer_in_a_session_is_json_unless_its_stream_has_begun(
    gateway: RunningGateway, add_talker: AddTalker, progress: bool
) -> None:
    talker = await add_talker()
    session = await session_of(gateway, "application/json, text/event-stream")
    body = call(f"{talker.slug}__big", {"picture": PICTURE}, progress)
    response = await gateway.post(body, **session)
    kind = response.headers["content-type"].partition(";")[0]
    assert kind == ("text/event-stream" if progress else "application/json")
    assert response.headers["mcp-session-id"] == session["Mcp-Session-Id"]
    if progress:
        assert max(len(line) for line in response.content.splitlines()) <= EVENT_LIMIT
    else:
        assert len(response.json()["result"]["content"][1]["data"]) == PICTURE


async def test_a_client_that_takes_events_only_gets_what_an_event_holds(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    talker = await add_talker()
    session = await session_of(gateway, "text/event-stream")
    response = await gateway.post(call(f"{talker.slug}__big", {"picture": PICTURE}, False), **session)
    assert response.headers["content-type"].startswith("text/event-stream")
    (answer,) = [json.loads(line[5:]) for line in response.text.splitlines() if line.startswith("data: {")]
    assert "'image' of 1,500,0" in answer["result"]["content"][-1]["text"]


async def test_a_small_answer_comes_on_a_stream_as_ever(gateway: RunningGateway, add_talker: AddTalker) -> None:
    talker = await add_talker()
    session = await session_of(gateway, "application/json, text/event-stream")
    response = await gateway.post(call(f"{talker.slug}__echo", {}, False), **session)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.replace("\r", "").split("\n\n")
    # The first one says from where to go on.
    assert events[0].startswith("id: ")
    assert '"result"' in response.text
