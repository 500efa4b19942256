"""How long the server works on each page of the web interface, over a large catalogue.

    python -m bench.pages [--data FOLDER] [--tools 5000] [--servers 500] [--keys 10000] [--seconds 1]

The folder (or $MODELGATE_BENCH_DATA) holds the real tools. A gateway runs as a user runs it, beside an embedded
PostgreSQL filled with so many tools, servers and keys and a thousand calls; somebody signs in, and every page is asked
for again and again over one connection. What a browser does with a page is not in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from pathlib import Path

import httpx2

from bench.catalogue import SERVERS, TENANT
from bench.copied_tenants import add_keys_of_default_tenant
from bench.figures import Figure, record
from bench.scale import Bench, Place, fill, place
from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.database.pool import open_database

_NAME, _PASSWORD = "bench", "correct horse battery"
_TARGET_MS = 50.0
_CALLS = 1_000
_IN_TENANT = (
    *("overview", "servers", "servers/1", "servers/1/limits", "servers/add", "tools", "tools?q=file", "tools?page=40"),
    *("tools/1", "search", "search?q=read+a+file", "duplicates", "map", "roles", "roles/1", "roles/1/servers/1"),
    *("keys", "keys/1", "calls", "profiles", "audit", "embedding"),
)
_PAGES = (
    *(f"/admin/t/default/{path}" for path in _IN_TENANT),
    *("/admin/log", "/admin/settings", "/admin/help", "/admin/models", "/admin/tenants", "/admin/admins"),
)


async def _furnish(at: Place, servers: int, keys: int) -> None:
    """Further servers without tools, keys, an admin, and calls of the last day."""
    async with open_database(at.settings) as database:
        await Accounts(database, PasswordHasher()).create(_NAME, _PASSWORD)
        await add_keys_of_default_tenant(database, keys)
    async with at.connection() as connection:
        await connection.execute(
            "INSERT INTO servers (tenant_id, name, slug, transport, url, enabled) "
            "SELECT $1, 'More ' || n, 'more' || n, 'http', 'http://127.0.0.1:9/mcp', true "
            "FROM generate_series(1, $2::int) AS n",
            *(TENANT, max(0, servers - SERVERS)),
        )
        await connection.execute("ANALYZE")


async def _call(key: str, port: int) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": key}) as client:
        for number in range(_CALLS):
            arguments = {"query": f"read the file number {number % 50}"}
            params = {"name": "tool_search", "arguments": arguments}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            (await client.post("/mcp", json=body)).raise_for_status()


async def measure(bench: Bench, tools: int, servers: int, keys: int) -> None:
    """Print a table: the middle and the slowest twentieth of each page, and what it weighs."""
    async with place() as at:
        async with at.gateway() as (gateway, _):
            key = await fill(at, gateway, bench, tools)
        await _furnish(at, servers, keys)
        # No server is connected to: what they would answer is no page's.
        async with at.gateway(MODELGATE_UPSTREAM_CHECK_EVERY_SECONDS="3600") as (gateway, _):
            await _call(key, gateway.port)
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=60) as client:
                signed_in = await client.post("/api/v1/session", json={"name": _NAME, "password": _PASSWORD})
                signed_in.raise_for_status()
                print(f"\n{tools} tools, {servers} servers, {keys} keys\n")
                print("| page | p50 ms | p95 ms | KiB |\n|---|---|---|---|")
                for page in _PAGES:
                    latencies, size = await _time(client, page, bench.seconds)
                    p50 = statistics.median(latencies)
                    p95 = sorted(latencies)[int(len(latencies) * 0.95)]
                    print(f"| {page} | {p50:.1f} | {p95:.1f} | {size / 1024:.0f} |", flush=True)
                    group = f"Pages with {tools:,} tools, {servers:,} servers, {keys:,} keys"
                    record(Figure(group, page.removeprefix("/admin/"), "p50", p50, "ms", target=_TARGET_MS))


async def _time(client: httpx2.AsyncClient, page: str, seconds: float) -> tuple[list[float], int]:
    """Milliseconds of each request for a page, and its bytes. Raises httpx2.HTTPStatusError."""
    (await client.get(page)).raise_for_status()
    latencies: list[float] = []
    ends = time.perf_counter() + seconds
    size = 0
    while time.perf_counter() < ends or len(latencies) < 5:
        started = time.perf_counter()
        response = await client.get(page)
        latencies.append((time.perf_counter() - started) * 1000)
        response.raise_for_status()
        size = len(response.content)
    return latencies, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools")
    parser.add_argument("--tools", type=int, default=5_000)
    parser.add_argument("--servers", type=int, default=500)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each page is asked for")
    given = parser.parse_args()
    asyncio.run(measure(Bench(given.data, given.seconds, 1.0), given.tools, given.servers, given.keys))


if __name__ == "__main__":
    main()
