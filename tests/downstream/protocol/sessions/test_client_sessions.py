"""Handshake sessions: whose they are, how many there may be, and how they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio
import httpx2
import pytest

from gateway.settings import Settings
from tests.downstream.conftest import AddTalker, Era
from tests.support.gateway import RunningGateway

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
LISTEN = {
    "jsonrpc": "2.0",
    "id": 3,
    "method": "subscriptions/listen",
    "params": {"notifications": {"toolsListChanged": True}, "_meta": MODERN},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


async def opened(gateway: RunningGateway, key: str | None = None) -> dict[str, str]:
    """The headers of a new session."""
    headers = {**ACCEPT, "X-API-Key": key or gateway.key}
    response = await gateway.post(INITIALIZE, **headers)
    assert response.status_code == 200
    headers["Mcp-Session-Id"] = response.headers["mcp-session-id"]
    assert (await gateway.post(INITIALIZED, **headers)).status_code == 202
    return headers


async def status(gateway: RunningGateway, headers: dict[str, str]) -> int:
    return (await gateway.post(PING, **headers)).status_code


async def test_a_session_serves_the_key_that_opened_it_and_no_other(gateway: RunningGateway, tenant_id: int) -> None:
    headers = await opened(gateway)
    assert await status(gateway, headers) == 200
    thief = (await gateway.parts.keys.create(tenant_id, "thief", ["all"])).key
    assert await status(gateway, {**headers, "X-API-Key": thief}) == 404
    ended = await gateway.http.delete("/mcp", headers={**headers, "X-API-Key": thief})
    assert ended.status_code == 404
    assert await status(gateway, headers) == 200
    assert (await gateway.http.delete("/mcp", headers=headers)).is_success
    assert await status(gateway, headers) == 404


async def test_a_session_cannot_be_taken_over_by_way_of_the_modern_era(gateway: RunningGateway, tenant_id: int) -> None:
    headers = await opened(gateway)
    thief = (await gateway.parts.keys.create(tenant_id, "thief", ["all"])).key
    message = {
        "jsonrpc": "2.0",
        "id": 4,
        "method": "logging/setLevel",
        "params": {"level": "emergency", "_meta": MODERN},
    }
    stolen = {**headers, "X-API-Key": thief, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "logging/setLevel"}
    assert "result" not in (await gateway.post(message, **stolen)).json()
    assert await status(gateway, headers) == 200


async def test_a_session_id_that_was_never_given_is_not_found(gateway: RunningGateway) -> None:
    assert await status(gateway, {**ACCEPT, "Mcp-Session-Id": "made-up"}) == 404


@pytest.mark.parametrize("stream", ["session", "listen"])
async def test_a_revoked_key_ends_its_open_streams_and_is_refused(
    gateway: RunningGateway, tenant_id: int, stream: str
) -> None:
    new = await gateway.parts.keys.create(tenant_id, "short-lived", ["all"])
    headers = await opened(gateway, new.key)
    with anyio.fail_after(5):
        async with _open_stream(gateway, headers, stream) as response:
            assert response.status_code == 200
            await gateway.parts.keys.revoke(tenant_id, new.id)
            await _drained(response)
    assert await status(gateway, headers) == 401


MODERN_HEADERS = {
    **ACCEPT,
    "Mcp-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "talker__hang",
}


@pytest.mark.parametrize(("client", "more"), [("modern", {"_meta": MODERN}), ("one-shot", {})])
@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_call_whose_key_is_revoked_is_told_so_and_its_server_hears_a_cancel(
    gateway: RunningGateway,
    add_talker: AddTalker,
    tenant_id: int,
    era: Era,
    client: str,
    more: dict[str, Any],
) -> None:
    talker = await add_talker(era=era)
    new = await gateway.parts.keys.create(tenant_id, "short-lived", ["all"])
    params = {"name": "talker__hang", "arguments": {}}
    call = {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {**params, **more}}
    headers = {"X-API-Key": new.key}
    if client == "modern":
        headers |= MODERN_HEADERS
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def revoke() -> None:
                await talker.wait_for_log("hanging ")
                await gateway.parts.keys.revoke(tenant_id, new.id)

            tasks.start_soon(revoke)
            response = await gateway.post(call, **headers)
    assert response.status_code == 401
    assert "revoked" in response.json()["error"]["message"]
    await talker.wait_for_log("cancelled ")


async def test_a_key_that_expires_ends_its_open_streams(gateway: RunningGateway, tenant_id: int) -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=4)
    new = await gateway.parts.keys.create(tenant_id, "short-lived", ["all"], soon)
    headers = await opened(gateway, new.key)
    with anyio.fail_after(20):
        async with _open_stream(gateway, headers, "session") as response:
            await _drained(response)
    assert await status(gateway, headers) == 401


class TestFew:
    """With a gateway that takes two sessions, each for three seconds."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, server=replace(settings.server, max_sessions=2, session_idle_seconds=3.0))

    async def test_one_session_too_many_is_refused_and_idle_ones_end(self, gateway: RunningGateway) -> None:
        first = await opened(gateway)
        await opened(gateway)
        refused = await gateway.post(INITIALIZE, **ACCEPT)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        with anyio.fail_after(20):
            while (await gateway.post(INITIALIZE, **ACCEPT)).status_code != 200:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        assert await status(gateway, first) == 404


class TestOfOne:
    """With a gateway that takes two sessions of each caller."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, server=replace(settings.server, max_sessions_per_caller=2))

    async def test_one_caller_cannot_take_all_sessions(self, gateway: RunningGateway, tenant_id: int) -> None:
        first = await opened(gateway)
        await opened(gateway)
        refused = await gateway.post(INITIALIZE, **ACCEPT)
        assert refused.status_code == 429
        assert "has 2 sessions open" in refused.json()["error"]["message"]
        assert "mcp-session-id" not in refused.headers
        other = await gateway.parts.keys.create(tenant_id, "other", ["all"])
        await opened(gateway, other.key)
        await gateway.http.delete("/mcp", headers=first)
        with anyio.fail_after(5):
            while (await gateway.post(INITIALIZE, **ACCEPT)).status_code != 200:  # noqa: ASYNC110
                await anyio.sleep(0.05)


async def test_a_session_lives_on_after_requests_that_make_no_sense(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    headers = await opened(gateway)
    nonsense: list[Any] = [
        b"{",
        [],
        [PING],
        {"jsonrpc": "2.0", "id": 5},
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        {"jsonrpc": "2.0", "id": 6, "method": "tools/call", "params": {"name": 3}},
        {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "talker__echo", "arguments": []}},
        {"jsonrpc": "2.0", "id": 8, "method": "logging/setLevel", "params": {"level": "loud"}},
        {"jsonrpc": "2.0", "id": 9, "method": "resources/subscribe", "params": {"uri": 1}},
        {"jsonrpc": "2.0", "id": 10, "method": "initialize", "params": {}},
        {"jsonrpc": "2.0", "id": 11, "result": {}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": {}}},
    ]
    for message in nonsense:
        response = await gateway.post(message, **headers)
        assert response.status_code < 500
    assert await status(gateway, headers) == 200


def _open_stream(gateway: RunningGateway, headers: dict[str, str], stream: str) -> Any:
    if stream == "session":
        return gateway.http.stream("GET", "/mcp", headers=headers)
    modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
    sent = {**ACCEPT, **modern, "X-API-Key": headers["X-API-Key"], "Content-Type": "application/json"}
    return gateway.http.stream("POST", "/mcp", json=LISTEN, headers=sent)


async def _drained(response: httpx2.Response) -> None:
    """Read until the stream ends, in whatever way."""
    chunks: AsyncIterator[bytes] = response.aiter_bytes()
    try:
        async for _ in chunks:
            pass
    except httpx2.HTTPError:
        pass
