"""Two gateways behind a load balancer, restarted one after the other while they are used: no call fails."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import Settings
from tests.downstream.conftest import TALKER
from tests.support.metrics import metric_at
from tests.support.waiting import until
from tests.upstream import processes

ROOT = Path(__file__).parents[2]
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
MODERN_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Mcp-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "talker__echo",
}


@dataclass(eq=False)
class Replicas:
    """`modelgate serve` in processes of their own, on one database."""

    environ: dict[str, str]
    key: str
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, port: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve"),
            env={**self.environ, "MODELGATE_SERVER_PORT": str(port)},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            url = (await asyncio.wait_for(process.stdout.readline(), 120)).decode().split()[4]
        except BaseException:
            process.kill()
            await process.wait()
            raise
        self.running[url] = process
        return url

    async def stop(self, url: str) -> None:
        """As an orchestrator does it; requests are sent there until it is gone."""
        process = self.running[url]
        process.terminate()
        await asyncio.wait_for(process.communicate(), 60)
        del self.running[url]
        assert process.returncode == 0

    async def post(self, http: httpx2.AsyncClient, body: Any, **headers: str) -> httpx2.Response:
        """Through a load balancer that tries the next one where nothing was answered, and asks no more of a gateway."""
        sent = {"X-API-Key": self.key, **headers}
        while True:
            for url in list(self.running):
                try:
                    return await http.post(f"{url}/mcp", json=body, headers=sent)
                except httpx2.TransportError:
                    continue
            await anyio.sleep(0.01)


def replica_environment(settings: Settings) -> dict[str, str]:
    """What gateways of one database are started with."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("MODELGATE_")}
    return {
        **own,
        "MODELGATE_DATABASE_URL": settings.database.url,
        "MODELGATE_DATA_DIR": settings.server.data_dir,
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_CONFIG": "/dev/null",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
async def replicas(settings: Settings, tmp_path: Path) -> AsyncIterator[Replicas]:
    async with open_components(settings) as parts:
        arguments = ("-I", "-S", str(TALKER), "modern", "Talker", str(tmp_path / "log"))
        server = await parts.servers.add(1, ServerDefinition("Talker", "stdio", sys.executable, arguments))
        await parts.sync.run(1, server)
        key = (await parts.keys.create(1, "test", ["all"])).key
    made = Replicas(replica_environment(settings), key)
    yield made
    for process in made.running.values():
        process.kill()
        await process.wait()


async def test_a_rolling_restart_under_load_fails_no_call_and_leaves_no_child(replicas: Replicas) -> None:
    first, second = await replicas.start(), await replicas.start()
    await until(lambda: counts_members(second, 2))
    calls = 0
    is_over = False

    async def load(meta: dict[str, Any], headers: dict[str, str]) -> None:
        nonlocal calls
        params = {"name": "talker__echo", "arguments": {"text": "hello"}, **({"_meta": meta} if meta else {})}
        body = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}
        async with httpx2.AsyncClient(timeout=30) as http:
            while not is_over:
                answer = (await replicas.post(http, body, **headers)).json()
                assert "hello" in str(answer["result"])
                calls += 1
                # Four without a pause would take the time of the processes that start.
                await anyio.sleep(0.02)

    children: set[int] = set()
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(load, {}, {})
            tasks.start_soon(load, MODERN, MODERN_HEADERS)
        session = await _open_session(replicas, first)
        for process in replicas.running.values():
            children |= processes.children(process.pid)
        await replicas.stop(first)
        await until(lambda: counts_members(second, 1))
        async with httpx2.AsyncClient(timeout=30) as http:
            # What the one that has gone had is told to be gone, once, and a new session goes on.
            ping = {"jsonrpc": "2.0", "id": 9, "method": "ping"}
            assert (await replicas.post(http, ping, **session)).status_code == 404
        assert (await _open_session(replicas, second))["Mcp-Session-Id"]
        third = await replicas.start()
        await until(lambda: counts_members(third, 2))
        await replicas.stop(second)
        await until(lambda: counts_members(third, 1))
        before = calls
        with anyio.fail_after(20):
            while calls < before + 20:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        is_over = True
    assert children
    assert not [child for child in children if processes.alive(child)]


async def counts_members(url: str, count: int) -> bool:
    """Whether a gateway's metrics say that there are so many processes on its database."""
    return await metric_at(url, "modelgate_cluster_members") == count


async def _open_session(replicas: Replicas, url: str) -> dict[str, str]:
    client = {"name": "t", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    headers = {"Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient(timeout=30) as http:
        initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        sent = {**headers, "X-API-Key": replicas.key}
        opened = await http.post(f"{url}/mcp", json=initialize, headers=sent)
        return {**headers, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
