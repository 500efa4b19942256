"""What a request costs in processor time with one worker and with several.

`python -m bench.workers` starts `modelgate serve` with 1 and with 2 workers, sends both the same requests in turn, over
connections that stay open, and prints the processor time of the gateway's processes for each request.
Throughput needs a core for each worker, the load and the upstream server; processor time does not. Half of the requests
in a session come in at the worker that does not hold it: where all of these went over to the other, a call took 1.80
times what it takes with one worker, and a list 1.4 to 1.7 times.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from bench.figures import Figure, record
from bench.proxy import LEAN, ROOT
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import load_settings

_CONNECTIONS = 16
_TICKS = os.sysconf("SC_CLK_TCK")
_ROUNDS = 6
_TARGET = 1.15

SEARCH = {"method": "tools/call", "params": {"name": "tool_search", "arguments": {"query": "say it again"}}}
CALL = {"method": "tools/call", "params": {"name": "lean__echo", "arguments": {"text": "hello"}}}
LIST = {"method": "tools/list"}
INITIALIZE = {
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of request; `in_sessions` on every connection in a session that another connection may have opened."""

    name: str
    message: dict[str, Any]
    in_sessions: bool = False


LOADS = (
    Load("one-shot tool_search", SEARCH),
    Load("one-shot tools/call, stdio", CALL),
    Load("one-shot tools/list", LIST),
    Load("tools/call in a session", CALL, in_sessions=True),
    Load("tools/list in a session", LIST, in_sessions=True),
)


def processor_seconds(pids: Sequence[int]) -> float:
    """Of the gateway's own processes; upstream servers are others."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS


def gateway_processes(pid: int) -> list[int]:
    """The process and its workers."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if "--worker" in Path(f"/proc/{child}/cmdline").read_text():
                found.append(int(child))
    return found


async def send(url: str, key: str, load: Load, requests: int) -> None:
    """So many requests over connections that stay open."""
    async with httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=_CONNECTIONS)) as http:
        headers = {"X-API-Key": key, "Accept": "application/json, text/event-stream"}
        sessions: list[dict[str, str]] = [{}]
        if load.in_sessions:
            body = {"jsonrpc": "2.0", "id": 0, **INITIALIZE}
            opened = [await http.post(f"{url}/mcp", json=body, headers=headers) for _ in range(_CONNECTIONS)]
            sessions = [{"Mcp-Session-Id": each.headers["mcp-session-id"]} for each in opened]

        async def one_after_the_other(number: int) -> None:
            own = {**headers, **sessions[number % len(sessions)]}
            for request_id in range(requests // _CONNECTIONS):
                body = {"jsonrpc": "2.0", "id": request_id + 1, **load.message}
                response = await http.post(f"{url}/mcp", json=body, headers=own)
                response.raise_for_status()
                assert '"result"' in response.text, response.text

        await asyncio.gather(*(one_after_the_other(number) for number in range(_CONNECTIONS)))


@asynccontextmanager
async def gateway(environ: dict[str, str], workers: int) -> AsyncIterator[tuple[str, int]]:
    """The address and process id of one that serves with so many workers, once all are there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--workers", str(workers)),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().split()[4], process.pid
    finally:
        process.terminate()
        await process.wait()


async def measure(gateways: Sequence[tuple[str, int]], keys: Sequence[str], requests: int) -> dict[str, list[float]]:
    """Milliseconds of processor time for a request of each kind, at each of the gateways.

    They are asked in turn, since a machine is not as fast at every moment, and the middle one of the rounds counts.
    """
    each = max(requests // _ROUNDS, _CONNECTIONS) // _CONNECTIONS * _CONNECTIONS
    costs = {}
    for load in LOADS:
        found: list[list[float]] = [[] for _ in gateways]
        for turn in range(_ROUNDS + 1):
            for (url, pid), key, taken in zip(gateways, keys, found, strict=True):
                pids = gateway_processes(pid)
                before = processor_seconds(pids)
                await send(url, key, load, each)
                # The first round is to warm up.
                if turn:
                    taken.append((processor_seconds(pids) - before) / each * 1000)
        costs[load.name] = [statistics.median(taken) for taken in found]
    return costs


async def run(requests: int) -> None:
    async with AsyncExitStack() as stack:
        gateways, keys = [], []
        for workers in (1, 2):
            environ = {
                **{name: text for name, text in os.environ.items() if not name.startswith("MODELGATE_")},
                "MODELGATE_DATA_DIR": stack.enter_context(tempfile.TemporaryDirectory()),
                "MODELGATE_EMBEDDER_TYPE": "builtin",
                "MODELGATE_SERVER_PORT": "0",
                "MODELGATE_SERVER_LOG_LEVEL": "error",
                "MODELGATE_CONFIG": os.devnull,
                "PYTHONPATH": str(ROOT),
            }
            async with open_components(load_settings(environ=environ)) as parts:
                server_id = await parts.servers.add(1, ServerDefinition("Lean", "stdio", LEAN[0], tuple(LEAN[1:])))
                await parts.sync.run(1, server_id)
                keys.append((await parts.keys.create(1, "bench", ["all"])).key)
            gateways.append(await stack.enter_async_context(gateway(environ, workers)))
        # The second worker is there by then, too.
        await asyncio.sleep(10)
        costs = await measure(gateways, keys, requests)
    print(f"{'processor time of a request':32} {'1 worker':>10} {'2 workers':>10} {'ratio':>6} (target {_TARGET})")
    for name, (one, two) in costs.items():
        ratio = two / one
        print(f"{name:32} {one:7.3f} ms {two:7.3f} ms {ratio:6.2f}")
        record(Figure("Two workers", name, "of the processor time with one", ratio, "ratio", target=_TARGET))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4_000, help="of each kind")
    asyncio.run(run(parser.parse_args().requests))
