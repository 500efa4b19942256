"""What sessions cost that nobody uses."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2

_AT_ONCE = 16
_VERSION = "2025-11-25"


@dataclass(frozen=True, slots=True)
class Idle:
    """Resident memory in MiB: before, more while the sessions are open, and after; `left` is how many still answer."""

    opened: int
    before_mib: float
    more_mib: float
    after_mib: float
    left: int


async def idle_sessions(url: str, key: str, process: int, count: int, idle_seconds: float) -> Idle:
    """Open `count` handshake sessions, leave them alone for `idle_seconds`, and look again."""
    async with _client(key) as http:
        before = _resident(process)
        sessions = await _open_all(http, url, count)
        more = _resident(process) - before
        deadline = time.monotonic() + idle_seconds * 2 + 10
        left = len(sessions)
        await asyncio.sleep(idle_seconds)
        while left and time.monotonic() < deadline:
            await asyncio.sleep(1)
            # Asking a session keeps it: only the oldest is asked until it is gone, then all.
            left = len(sessions) if await _answers(http, url, sessions[-1]) else 0
            if left:
                await asyncio.sleep(idle_seconds)
        alive = await asyncio.gather(*(_answers(http, url, session) for session in sessions))
        return Idle(len(sessions), before, more, _resident(process), sum(alive))


async def open_sessions(url: str, key: str, count: int) -> list[str]:
    """Open `count` handshake sessions, and leave them open; their ids."""
    async with _client(key) as http:
        return await _open_all(http, url, count)


def _client(key: str) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=_AT_ONCE)
    return httpx2.AsyncClient(headers={"X-API-Key": key}, limits=limits, timeout=30)


async def _open_all(http: httpx2.AsyncClient, url: str, count: int) -> list[str]:
    sessions: list[str] = []
    remaining = iter(range(count))

    async def work() -> None:
        for _ in remaining:
            sessions.append(await _open(http, url))

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return sessions


async def _open(http: httpx2.AsyncClient, url: str) -> str:
    client = {"name": "bench", "version": "1"}
    params = {"protocolVersion": _VERSION, "capabilities": {}, "clientInfo": client}
    headers = {"Accept": "application/json, text/event-stream"}
    answer = await http.post(
        url, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, headers=headers
    )
    answer.raise_for_status()
    session = answer.headers["mcp-session-id"]
    headers |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": _VERSION}
    await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
    return str(session)


async def _answers(http: httpx2.AsyncClient, url: str, session: str) -> bool:
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": _VERSION}
    answer = await http.post(
        url, json={"jsonrpc": "2.0", "id": 2, "method": "ping"}, headers=headers | {"Mcp-Session-Id": session}
    )
    return answer.status_code == 200


def _resident(process: int) -> float:
    """Resident memory of a process, in MiB, as Linux counts it."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS in /proc")
