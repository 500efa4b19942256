"""Two replicas restarted one after the other under load, behind a proxy that does as docs/scaling.md has it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import Settings
from tests.cluster.replicas import replica
from tests.cluster.test_processes import ACCEPT, INITIALIZE
from tests.downstream.conftest import TALKER
from tests.support.waiting import until

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "talker__echo", "arguments": {}}}


class Proxy(httpx2.AsyncBaseTransport):
    """Sends each request to the next replica, and to another one where that is gone or has not begun with it."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self._turn = 0
        self._transport = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        self._turn += 1
        first = self._turn
        for left in reversed(range(2)):
            to = httpx2.URL(self.urls[(first + left) % len(self.urls)])
            url = request.url.copy_with(host=to.host, port=to.port)
            headers = {**request.headers, "host": f"{to.host}:{to.port}"}
            try:
                response = await self._transport.handle_async_request(
                    httpx2.Request(request.method, url, headers=headers, content=content)
                )
            except httpx2.TransportError:
                if not left:
                    raise
                continue
            if response.status_code != 503 or not left:
                return response
            await response.aclose()
        raise AssertionError

    async def aclose(self) -> None:
        await self._transport.aclose()


async def test_a_rolling_restart_costs_no_call_and_a_session_one_404(settings: Settings, tmp_path: Path) -> None:
    async with open_components(settings) as parts:
        arguments = ("-I", "-S", str(TALKER), "handshake", "Talker", str(tmp_path / "log"))
        server_id = await parts.servers.add(1, ServerDefinition("Talker", "stdio", sys.executable, arguments))
        await parts.sync.run(1, server_id)
        key = (await parts.keys.create(1, "test", ["all"])).key
    proxy = Proxy()
    counts = {"one-shot": 0, "modern": 0, "session": 0}
    stopping = asyncio.Event()
    http = httpx2.AsyncClient(transport=proxy, base_url="http://proxy", headers={"X-API-Key": key}, timeout=30)

    async def one_shot() -> None:
        while not stopping.is_set():
            response = await http.post("/mcp", json=CALL)
            assert response.status_code == 200, response.text
            assert not response.json()["result"].get("isError"), response.text
            counts["one-shot"] += 1

    async def modern() -> None:
        async with Client(streamable_http_client("http://proxy/mcp", http_client=http), mode="auto") as client:
            while not stopping.is_set():
                result = await client.call_tool("talker__echo", {})
                assert not result.is_error, result
                counts["modern"] += 1

    lost: list[int] = []

    async def in_a_session() -> None:
        headers: dict[str, Any] = dict(ACCEPT)
        while not stopping.is_set():
            if "Mcp-Session-Id" not in headers:
                opened = await http.post("/mcp", json=INITIALIZE, headers=headers)
                assert opened.status_code == 200, opened.text
                headers["Mcp-Session-Id"] = opened.headers["mcp-session-id"]
            response = await http.post("/mcp", json=CALL, headers=headers)
            if response.status_code == 404:
                lost.append(404)
                del headers["Mcp-Session-Id"]
                continue
            assert response.status_code == 200, (response.status_code, response.text)
            counts["session"] += 1

    async def goes_on() -> None:
        """Every client gets further answers."""
        before = dict(counts)
        await until(lambda: all(counts[each] > before[each] + 3 for each in counts) or any(t.done() for t in load), 60)
        for task in load:
            if task.done():
                task.result()

    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(http)
        old = [await stack.enter_async_context(replica(settings, key)) for _ in range(2)]
        proxy.urls = [each.url for each in old]
        load = [asyncio.create_task(work()) for work in (one_shot, modern, in_a_session)]
        await goes_on()
        for number in range(2):
            stopped = asyncio.create_task(old[number].stop())
            await asyncio.sleep(0)
            assert await stopped == 0
            await goes_on()
            new = await stack.enter_async_context(replica(settings, key))
            proxy.urls[number] = new.url
            await goes_on()
        stopping.set()
        await asyncio.gather(*load)
    assert len(lost) <= 2
