"""Gateways as processes of their own, on one database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from gateway.settings import Settings

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Replica:
    """One `modelgate serve`."""

    process: asyncio.subprocess.Process
    url: str
    key: str

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)

    async def stop(self) -> int:
        """Tell it to stop; returns its exit code."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 40)

    async def post(self, body: Any, **headers: str) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=60) as http:
            response: httpx2.Response = await http.post(
                f"{self.url}/mcp", json=body, headers={"X-API-Key": self.key, **headers}
            )
            return response

    async def call(self, tool: str, **arguments: Any) -> Any:
        """The result of one call of a tool."""
        body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        return (await self.post(body)).json()["result"]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    own = {name: text for name, text in os.environ.items() if not name.startswith("MODELGATE_")}
    return {
        **own,
        "MODELGATE_DATABASE_URL": settings.database.url,
        "MODELGATE_DATA_DIR": settings.server.data_dir,
        "MODELGATE_DATABASE_POOL_SIZE": "4",
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_CONFIG": "/dev/null",
        "MODELGATE_SERVER_PORT": "0",
        "PYTHONPATH": str(ROOT),
        **more,
    }


@contextlib.asynccontextmanager
async def replica(settings: Settings, key: str, *arguments: str, **more: str) -> AsyncIterator[Replica]:
    """A gateway that answers; it is killed at the end, where it has not ended by then."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", *arguments),
        env=environment(settings, **more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        yield Replica(process, line.split()[4], key)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def children_of(pid: int, command: str = "") -> set[int]:
    """The processes that this one has started and that are there, of those with `command` in their command line."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = {int(child) for task in tasks for child in (task / "children").read_text().split()}
        return {child for child in children if command in Path(f"/proc/{child}/cmdline").read_text()}
    except OSError:
        return set()


def is_there(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False
