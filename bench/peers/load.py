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
_VERSION = "2025-11-25"


class OneShot:
    """Plain POSTs over one kept connection, with as little work of its own as can be."""

    def __init__(self, url: str, key: str, message: dict[str, Any]) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname or "", parts.port or 80)
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-API-Key: {key}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._request = self.request(message)

    def request(self, message: dict[str, Any], more_headers: str = "") -> bytes:
        """`message` as it goes over the wire."""
        body = json.dumps(message).encode()
        return f"{self._head}{more_headers}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(*self._where, limit=2**24)

    async def exchange(self, request: bytes) -> tuple[bytes, bytes]:
        """Head, in lower case, and body of the answer."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, _, length = head.partition(b"content-length:")
        if length:
            return head, await self._reader.readexactly(int(length.split(b"\r\n")[0]))
        body = b""
        while size := int((await self._reader.readuntil(b"\r\n")).strip(), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return head, body

    async def __call__(self) -> bytes:
        head, body = await self.exchange(self._request)
        if not head.startswith(b"http/1.1 200") or b'"error"' in body[:200]:
            raise RuntimeError(f"{head[:40]!r} {body[:300]!r}")
        return body


class InSession(OneShot):
    """The same in a handshake session, as clients of the SDK speak."""

    def __init__(self, url: str, key: str, message: dict[str, Any]) -> None:
        super().__init__(url, key, message)
        self._message = message

    async def open(self) -> None:
        await super().open()
        accept = "Accept: application/json, text/event-stream\r\n"
        client = {"name": "bench", "version": "1"}
        params = {"protocolVersion": _VERSION, "capabilities": {}, "clientInfo": client}
        initialize = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        head, _ = await self.exchange(self.request(initialize, accept))
        session = head.split(b"mcp-session-id:")[1].split(b"\r\n")[0].strip().decode()
        headers = f"{accept}Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: {_VERSION}\r\n"
        await self.exchange(self.request({"jsonrpc": "2.0", "method": "notifications/initialized"}, headers))
        self._request = self.request(self._message, headers)


_RAW = {"one-shot": OneShot, "session": InSession}


@contextlib.asynccontextmanager
async def client_of(target: dict[str, Any]) -> AsyncIterator[Client]:
    """The SDK's client, over stdio or HTTP."""
    if "command" in target:
        command, *arguments = target["command"]
        async with Client(StdioServerParameters(command=command, args=arguments)) as client:
            yield client
        return
    timeout = httpx2.Timeout(30)
    headers = {"X-API-Key": target.get("key", "none"), **target.get("headers", {})}
    async with httpx2.AsyncClient(headers=headers, timeout=timeout) as http:
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
    """Run `calls` calls over `connections` connections, for at most `seconds` seconds.

    With `burst_every` all connections make one call at the same time, every so many seconds.
    """
    target, what, connections = given["target"], given["what"], given["connections"]
    burst_every = given.get("burst_every", 0.0)
    async with contextlib.AsyncExitStack() as stack:
        acts: list[Act] = []
        shared: Client | None = None
        for _ in range(connections):
            raw = _RAW.get(target.get("raw"))
            if raw is not None:
                params = {"name": target["prefix"] + what["tool"], "arguments": what["arguments"]}
                params = params if what["method"] == "tools/call" else {}
                message = {"jsonrpc": "2.0", "id": 1, "method": what["method"], "params": params}
                poster = raw(target["url"], target["key"], message)
                await poster.open()
                acts.append(poster)
                continue
            # Over stdio there is one connection to share, as for every client of a stdio server.
            if shared is None or "command" not in target:
                shared = await stack.enter_async_context(client_of(target))
            acts.append(act_of(shared, target, what))

        async def warm_up(act: Act) -> None:
            for _ in range(max(2, _WARM_UP // connections)):
                await act()

        # A connection that waits for hundreds of others says nothing for too long.
        await asyncio.gather(*(warm_up(act) for act in acts))
        latencies: list[float] = []
        begun = time.perf_counter()
        deadline = begun + given["seconds"]

        async def work(act: Act) -> None:
            while len(latencies) < given["calls"] and time.perf_counter() < deadline:
                started = time.perf_counter()
                await act()
                ended = time.perf_counter()
                latencies.append(ended - started)
                if burst_every:
                    await asyncio.sleep(burst_every - (ended - begun) % burst_every)

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
