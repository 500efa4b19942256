"""Clients that lose the connection in the midst of a call, and come back for the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest

from gateway.settings import Settings
from tests.downstream.conftest import AddTalker
from tests.downstream.protocol.sessions.test_client_sessions import opened
from tests.support.gateway import RunningGateway

VERSION = {"Mcp-Protocol-Version": "2025-11-25"}


async def events(response: Any) -> list[dict[str, str]]:
    """The events of a stream until one holds a result."""
    found: list[dict[str, str]] = [{}]
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            found[-1][name] = value.strip()
        elif found[-1]:
            if '"result"' in found[-1].get("data", ""):
                break
            found.append({})
    return [event for event in found if event]


async def broken_call(gateway: RunningGateway, headers: dict[str, str], tool: str, arguments: Any) -> str:
    """Call a tool and leave after the first event; returns its id."""
    call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    async with gateway.http.stream("POST", "/mcp", json=call, headers=headers) as response:
        async for line in response.aiter_lines():
            if line.startswith("id:"):
                return line.removeprefix("id:").strip()
    raise AssertionError("the stream had no event to go on from")


async def resumed(
    gateway: RunningGateway, headers: dict[str, str], event_id: str, seconds: float = 15.0
) -> list[dict[str, str]]:
    """What comes after an event until a result does, and at most for so long."""
    async with gateway.http.stream("GET", "/mcp", headers={**headers, "Last-Event-ID": event_id}) as response:
        assert response.status_code == 200
        with anyio.move_on_after(seconds):
            return await events(response)
    return []


async def test_the_result_of_a_call_waits_for_a_client_that_lost_the_connection(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    headers = await opened(gateway) | VERSION
    event_id = await broken_call(gateway, headers, "talker__echo", {"text": "still here", "seconds": 0.5})
    found = await resumed(gateway, headers, event_id)
    result = json.loads(found[-1]["data"])
    assert result["id"] == 7
    assert "still here" in json.dumps(result["result"])


async def test_no_other_session_hears_the_rest(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    mine, other = await opened(gateway) | VERSION, await opened(gateway) | VERSION
    event_id = await broken_call(gateway, mine, "talker__echo", {"text": "for me", "seconds": 0.5})
    assert "for me" not in str(await resumed(gateway, other, event_id, seconds=2))
    assert "for me" in str(await resumed(gateway, mine, event_id))


class TestLittle:
    """With a gateway that keeps next to nothing."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, server=replace(settings.server, replay_bytes=1))

    async def test_what_is_not_kept_is_not_replayed_and_calls_go_on(
        self, gateway: RunningGateway, add_talker: AddTalker
    ) -> None:
        await add_talker()
        headers = await opened(gateway) | VERSION
        event_id = await broken_call(gateway, headers, "talker__echo", {"text": "gone", "seconds": 0.5})
        call = {"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": {"name": "talker__echo"}}
        assert "result" in (await gateway.post(call, **headers)).text
        assert "gone" not in str(await resumed(gateway, headers, event_id, seconds=2))
