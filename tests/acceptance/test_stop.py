"""A gateway that is told to stop: what is under way is answered, with its result or with why there is none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.downstream.jsonrpc import STOPPING
from gateway.settings import Settings
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
WAITING_SERVER = ROOT / "tests" / "doubles" / "waiting_server.py"


@dataclass(frozen=True, slots=True)
class ServedGateway:
    """`modelgate serve` in a process of its own; its tool `wait` waits until `go_on`."""

    process: asyncio.subprocess.Process
    url: str
    key: str
    folder: Path

    def go_on(self) -> None:
        (self.folder / "go").touch()

    async def started(self, calls: int) -> None:
        """Wait until so many calls have reached the server."""
        file = self.folder / "started"
        await until(lambda: file.exists() and file.read_text().count("\n") == calls)

    async def is_stopping(self) -> bool:
        """Whether it takes no requests any more."""
        async with httpx2.AsyncClient(timeout=5) as http:
            try:
                return bool((await http.get(f"{self.url}/ready")).status_code != 200)
            except httpx2.HTTPError:
                return True

    async def ended(self) -> str:
        """What the process wrote to its standard error output, after it has ended well."""
        _, err = await asyncio.wait_for(self.process.communicate(), 30)
        assert self.process.returncode == 0
        return err.decode()

    async def one_shot(self) -> Any:
        async with httpx2.AsyncClient(timeout=60) as http:
            body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "waiting__wait"}}
            response = await http.post(f"{self.url}/mcp", json=body, headers={"X-API-Key": self.key})
            # By 503 and Retry-After a load balancer or client would send again what may have been done.
            assert response.status_code != 503
            assert "retry-after" not in response.headers
            return response.json()

    async def through_client(self, mode: str) -> Any:
        """The text of the result, or the code of the error, that a client of the SDK gets; `mode` may be `sse`."""
        headers = {"Authorization": f"Bearer {self.key}"}
        if mode == "sse":
            return await self._call(Client(sse_client(f"{self.url}/sse", headers=headers), mode="legacy", cache=None))
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"{self.url}/mcp", http_client=http)
            return await self._call(Client(transport, mode=mode, cache=None))

    async def _call(self, connecting: Client) -> Any:
        async with connecting as client:
            try:
                result = await client.call_tool("waiting__wait")
            except MCPError as error:
                return error.error.code
            return result.content[0].model_dump()["text"]


@contextlib.asynccontextmanager
async def served(settings: Settings, folder: Path, drain_seconds: float) -> AsyncIterator[ServedGateway]:
    """A gateway with the waiting server in its catalogue."""
    arguments = (str(WAITING_SERVER), str(folder / "go"), str(folder / "started"))
    async with open_components(settings) as parts:
        server_id = await parts.servers.add(1, ServerDefinition("Waiting", "stdio", sys.executable, arguments))
        await parts.sync.run(1, server_id)
        key = (await parts.keys.create(1, "test", ["all"])).key
    own = {name: text for name, text in os.environ.items() if not name.startswith("MODELGATE_")}
    environ = {
        **own,
        "MODELGATE_DATABASE_URL": settings.database.url,
        "MODELGATE_DATA_DIR": settings.server.data_dir,
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_CONFIG": "/dev/null",
        "MODELGATE_SERVER_PORT": "0",
        "MODELGATE_SERVER_DRAIN_SECONDS": str(drain_seconds),
        "PYTHONPATH": str(ROOT),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        yield ServedGateway(process, line.split()[4], key, folder)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


CLIENTS = ("one-shot", "auto", "legacy", "sse")


def calling(gateway: ServedGateway) -> list[asyncio.Task[Any]]:
    """A call of each kind of client, under way."""
    return [
        asyncio.create_task(gateway.one_shot() if client == "one-shot" else gateway.through_client(client))
        for client in CLIENTS
    ]


async def test_what_is_under_way_gets_its_result_and_no_new_work_is_taken(settings: Settings, tmp_path: Path) -> None:
    async with served(settings, tmp_path, 30) as gateway:
        calls = calling(gateway)
        await gateway.started(len(CLIENTS))
        gateway.process.terminate()
        refused: Any = {}
        while refused.get("error", {}).get("code") != STOPPING:
            # The signal is on its way: until it has come the call is taken, and found to be of no tool.
            async with httpx2.AsyncClient() as http:
                body = {"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": {"name": "none"}}
                response = await http.post(f"{gateway.url}/mcp", json=body, headers={"X-API-Key": gateway.key})
                refused = response.json()
        assert (response.status_code, refused["id"]) == (503, 8)
        assert (response.headers["retry-after"], response.headers["connection"]) == ("1", "close")
        async with httpx2.AsyncClient() as http:
            assert (await http.get(f"{gateway.url}/ready")).status_code == 503
        gateway.go_on()
        one_shot, modern, handshake, sse = await asyncio.gather(*calls)
        assert json.dumps(one_shot["result"]["content"]).count("waited") == 1
        assert (modern, handshake, sse) == ("waited", "waited", "waited")
        assert "Traceback" not in await gateway.ended()


async def test_what_takes_too_long_is_told_that_the_gateway_stops(settings: Settings, tmp_path: Path) -> None:
    async with served(settings, tmp_path, 0.5) as gateway:
        calls = calling(gateway)
        await gateway.started(len(CLIENTS))
        gateway.process.terminate()
        one_shot, modern, handshake, sse = await asyncio.gather(*calls)
        assert (one_shot["id"], one_shot["error"]["code"]) == (7, STOPPING)
        assert one_shot["error"]["message"].startswith("The gateway is stopping")
        assert (modern, handshake, sse) == (STOPPING, STOPPING, STOPPING)
        err = await gateway.ended()
        assert "4 calls took longer than server.drain_seconds" in err
        assert "Traceback" not in err


async def test_a_second_signal_ends_it_at_once(settings: Settings, tmp_path: Path) -> None:
    async with served(settings, tmp_path, 300) as gateway:
        (call, *others) = calling(gateway)
        for other in others:
            other.cancel()
        await gateway.started(1)
        gateway.process.terminate()
        # Two signals in one moment are one.
        await until(gateway.is_stopping)
        gateway.process.terminate()
        # The call has a minute, and the gateway five.
        await asyncio.wait_for(gateway.process.wait(), 30)
        with contextlib.suppress(httpx2.HTTPError, ValueError):
            await call


@pytest.mark.parametrize("signal", ["terminate"])
async def test_an_idle_gateway_stops_at_once(settings: Settings, tmp_path: Path, signal: str) -> None:
    async with served(settings, tmp_path, 300) as gateway:
        getattr(gateway.process, signal)()
        await gateway.ended()
