"""The load generator, a process of its own: a measurement as JSON on standard input, its outcome on standard output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import uvloop
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

Act = Callable[[], Awaitable[object]]

_WARM_UP = 20


class OneShot:
    """Plain POSTs over one kept connection, with as little work of its own as can be."""

    def __init__(self, url: str, key: str, message: dict[str, Any]) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname or "", parts.port or 80)
        body = json.dumps(message).encode()
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-API-Key: {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(*self._where, limit=2**24)

    async def __call__(self) -> bytes:
        self._writer.write(self._request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"http/1.1 200") or b'"error"' in body[:200]:
            raise RuntimeError(f"{head[:40]!r} {body[:300]!r}")
        return body


@contextlib.asynccontextmanager
async def client_of(target: dict[str, Any]) -> AsyncIterator[Client]:
    """The SDK's client, over stdio or HTTP."""
    if "command" in target:
        command, *arguments = target["command"]
        async with Client(StdioServerParameters(command=command, args=arguments)) as client:
            yield client
        return
    timeout = httpx2.Timeout(30)
    async with httpx2.AsyncClient(headers={"X-API-Key": target.get("key", "none")}, timeout=timeout) as http:
        transport = streamable_http_client(target["url"], http_client=http, max_sse_event_size=None)
        async with Client(transport) as client:
            yield client


def act_of(client: Client, target: dict[str, Any], what: dict[str, Any]) -> Act:
    """What is measured, for one client."""
    if what["method"] == "tools/list":
        return lambda: client.list_tools(cache_mode="bypass")
    name = target.get("prefix", "") + what["tool"]

    async def call() -> None:
        result = await client.call_tool(name, what["arguments"])
        if result.is_error:
            raise RuntimeError(str(result.content)[:300])

    return call


async def measure(given: dict[str, Any]) -> dict[str, Any]:
    """Run `calls` calls over `connections` connections, for at most `seconds` seconds."""
    target, what, connections = given["target"], given["what"], given["connections"]
    async with contextlib.AsyncExitStack() as stack:
        acts: list[Act] = []
        shared: Client | None = None
        for _ in range(connections):
            if target.get("one_shot"):
                params = {"name": target["prefix"] + what["tool"], "arguments": what["arguments"]}
                params = params if what["method"] == "tools/call" else {}
                message = {"jsonrpc": "2.0", "id": 1, "method": what["method"], "params": params}
                shot = OneShot(target["url"], target["key"], message)
                await shot.open()
                acts.append(shot)
                continue
            # Over stdio there is one connection to share, as for every client of a stdio server.
            if shared is None or "command" not in target:
                shared = await stack.enter_async_context(client_of(target))
            acts.append(act_of(shared, target, what))
        for act in acts:
            for _ in range(max(2, _WARM_UP // connections)):
                await act()
        latencies: list[float] = []
        begun = time.perf_counter()
        deadline = begun + given["seconds"]

        async def work(act: Act) -> None:
            while len(latencies) < given["calls"] and time.perf_counter() < deadline:
                started = time.perf_counter()
                await act()
                latencies.append(time.perf_counter() - started)

        await asyncio.gather(*(work(act) for act in acts))
        took = time.perf_counter() - begun
    latencies.sort()
    return {
        "p50": statistics.median(latencies) * 1000,
        "p95": latencies[int(len(latencies) * 0.95)] * 1000,
        "rate": len(latencies) / took,
        "calls": len(latencies),
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(json.loads(sys.stdin.read())))))
