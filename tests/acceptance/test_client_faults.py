"""Clients that do not behave: none of them costs the others anything, or the gateway its memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

import anyio
import httpx2
import pytest
from typing_extensions import Self

from gateway.access import keys, limits
from gateway.access.caller import Limits
from gateway.access.tenants import tenant_by_slug
from gateway.app import Gateway
from gateway.components import Components
from gateway.edge.server_config import server_config
from gateway.settings import Settings
from tests.acceptance.test_faults import AddUnruly, add_unruly, flat_memory, text_of
from tests.downstream.protocol.sessions.test_client_sessions import PING, opened, status
from tests.support.gateway import RunningGateway
from tests.support.metrics import metric
from tests.support.serving import open_port, serving_config
from tests.support.waiting import until

__all__ = ["add_unruly"]

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/logLevel": "debug",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, server=replace(settings.server, max_connections_per_address=200, head_seconds=300))


@pytest.fixture
async def gateway(parts: Components) -> AsyncIterator[RunningGateway]:
    """A gateway served as `modelgate serve` does, with its bounds on connections."""
    tenant = await tenant_by_slug(parts.database)
    key = (await parts.keys.create(tenant.id, "test", ["all"])).key
    with open_port() as (listening, url):
        served = Gateway(parts)
        config = server_config(served.application(), parts.settings.server, 2, served.refusals)
        async with serving_config(listening, config), httpx2.AsyncClient(base_url=url, timeout=30) as http:
            yield RunningGateway(url, parts, key, http)


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_one_that_never_reads_its_stream_fills_no_memory_and_holds_up_nobody(
    gateway: RunningGateway, add_unruly: AddUnruly, era: str
) -> None:
    await add_unruly()
    params: dict[str, Any] = {"name": "unruly__logs", "arguments": {"count": 200}}
    headers = {"Content-Type": "application/json", "X-API-Key": gateway.key}
    if era == "modern":
        params["_meta"] = MODERN
        headers |= {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "unruly__logs"}
        headers["Accept"] = "application/json, text/event-stream"
    else:
        headers |= await opened(gateway)
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).encode()
    url = httpx2.URL(gateway.url)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST /mcp HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n{head}Content-Length: {len(body)}\r\n\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((url.host, url.port))
        # 200 MiB come before the result, and nobody reads them.
        with flat_memory(160):
            deaf.sendall(request.encode() + body)
            for _ in range(10):
                assert text_of(await gateway.call("unruly__echo")) == "echo done"
                await asyncio.sleep(0.2)
            # The one that nobody reads.
            assert await metric(gateway, "modelgate_requests_in_flight") == 1
    assert text_of(await gateway.call("unruly__echo")) == "echo done"


async def test_five_thousand_connections_of_one_address_leave_the_others_theirs(gateway: RunningGateway) -> None:
    url = httpx2.URL(gateway.url)
    loop = asyncio.get_running_loop()
    # The model is loaded once something is searched for, if not before.
    await gateway.call("tool_search", {"query": "add numbers"})
    before = len(os.listdir("/proc/self/fd"))
    refused = 0

    async def connect(stack: contextlib.ExitStack, seconds: float) -> None:
        nonlocal refused
        connection = stack.enter_context(socket.socket())
        connection.setblocking(False)
        connection.bind(("127.0.0.2", 0))
        await loop.sock_connect(connection, (url.host, url.port))
        with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
            said = await asyncio.wait_for(loop.sock_recv(connection, 100), seconds)
            refused += said.startswith(b"HTTP/1.1 429 ")

    # A mebibyte for each hundred of the tests' own ends.
    with anyio.fail_after(120), flat_memory(64), contextlib.ExitStack() as stack:
        for hundred in range(50):
            # The first ones are taken, and hear nothing.
            seconds = 0.5 if hundred < 2 else 30
            await asyncio.gather(*(connect(stack, seconds) for _ in range(100)))
            # Meanwhile another address is served.
            assert (await gateway.post(PING)).status_code == 200
        assert len(os.listdir("/proc/self/fd")) > 5_000
        assert refused >= 4_500
        assert await metric(gateway, "modelgate_connections_refused_total", why="too_many") >= refused
    await until(lambda: len(os.listdir("/proc/self/fd")) < before + 20)


async def test_a_clock_that_jumps_ends_no_session_and_gives_nobody_more_than_is_theirs(
    gateway: RunningGateway, add_unruly: AddUnruly, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_unruly()
    headers = await opened(gateway)
    limits = Limits(requests_per_minute=3)
    limited = (await gateway.parts.keys.create(1, "limited", ["all"], limits=limits)).key
    for _ in range(3):
        assert (await gateway.post(PING, **{"X-API-Key": limited})).status_code == 200
    real = time.time
    for hours in (24, -24):
        monkeypatch.setattr(time, "time", lambda jump=hours * 3600: real() + jump)
        assert await status(gateway, headers) == 200
        assert text_of(await gateway.call("unruly__echo")) == "echo done"
        assert (await gateway.post(PING, **{"X-API-Key": limited})).status_code == 429


async def test_a_clock_that_jumps_gives_back_no_budget_of_a_day_and_ends_no_key_for_good(
    gateway: RunningGateway, add_unruly: AddUnruly, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_unruly()
    made = gateway.parts.keys
    budgeted = (await made.create(1, "budgeted", ["all"], limits=Limits(calls_per_day=2))).key
    soon = datetime.now(timezone.utc) + timedelta(hours=12)
    expiring = (await made.create(1, "expiring", ["all"], expires_at=soon)).key
    params = {"name": "unruly__echo", "arguments": {}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    async def spends(calls: int) -> None:
        """Of three calls so many are left."""
        texts = [(await gateway.post(call, **{"X-API-Key": budgeted})).text for _ in range(3)]
        assert ["echo done" in text for text in texts] == [number < calls for number in range(3)]
        assert "2 calls a day" in texts[2]

    async def ping_status() -> int:
        return (await gateway.post(PING, **{"X-API-Key": expiring})).status_code

    await spends(2)
    for hours, left, expected in ((24, 2, 401), (0, 0, 200), (-24, 2, 200), (24, 0, 401), (0, 0, 200)):
        clock = _clock(hours)
        for module in (limits, keys):
            monkeypatch.setattr(module, "datetime", clock)
        await spends(left)
        assert await ping_status() == expected
        await gateway.parts.caller_authenticator.write_usage()
    assert await metric(gateway, "modelgate_tool_call_seconds_count", outcome="limited") > 0


def _clock(hours: int) -> type[datetime]:
    """The time of day, so many hours on."""

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time() + hours * 3600, tz)

    return Jumped
