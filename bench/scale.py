"""What grows with tools, servers, tenants, keys and sessions: time, memory, disk and the start of a gateway.

    python -m bench.scale [tools servers tenants keys sessions] [--sizes 650,5194,20000,100000] [--small]

Each runs a gateway as a user runs it, a process with the builtin embedder beside an embedded PostgreSQL: `tools` are in
one tenant; `servers` are 100 real ones over stdio with 50 tools each, connected at once; `tenants` are 1,000 of 200
tools, each with a key; `keys` are 10,000 of one tenant; `sessions` 5,000 open handshake sessions. `--small` takes a
tenth of each, and 650 and 5,194 tools. The folder $MODELGATE_BENCH_DATA holds the real tools and queries.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.catalogue import Filler, read_queries, read_tools
from bench.copied_tenants import add_keys_of_default_tenant, copy_default_tenant
from bench.figures import Figure, record
from bench.peers.sessions import open_sessions
from bench.search import MIB, Gateway, request, searches
from bench.sync import client_configuration
from gateway.database.embedded import EmbeddedServer
from gateway.database.pool import open_database
from gateway.settings import Settings, load_settings

_TARGETS_MS = {650: 0.6, 5_194: 0.8, 20_000: 2.0, 100_000: 8.0}
_QUERIES = 200
_IDLE_SECONDS = 10.0
_CONNECT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Bench:
    """Where benchmarks find real tools, how long a load lasts, and what part of everything is taken."""

    data: Path
    seconds: float
    share: float

    def count(self, whole: int) -> int:
        return max(1, round(whole * self.share))


class Place:
    """An embedded PostgreSQL with a gateway's folder, in which gateways are started."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    @property
    def settings(self) -> Settings:
        """Those by which the database is reached."""
        return load_settings(environ={"MODELGATE_DATABASE_URL": self.url, "MODELGATE_CONFIG": os.devnull})

    @contextlib.asynccontextmanager
    async def gateway(self, **environ: str) -> AsyncIterator[tuple[Gateway, float]]:
        """A gateway with further variables, and how many seconds it took until it was ready."""
        started = time.perf_counter()
        async with Gateway(self.folder, self.url, **environ) as gateway:
            yield gateway, time.perf_counter() - started

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        connection = await asyncpg.connect(self.url)
        try:
            yield connection
        finally:
            await connection.close()

    async def disk_mib(self) -> float:
        """What the database takes."""
        async with self.connection() as connection:
            return float(await connection.fetchval("SELECT pg_database_size(current_database())")) / MIB


@contextlib.asynccontextmanager
async def place() -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as folder:
        server = EmbeddedServer(Path(folder))
        url = await asyncio.to_thread(server.start)
        try:
            yield Place(Path(folder), url)
        finally:
            await asyncio.to_thread(server.stop)


async def fill(at: Place, gateway: Gateway, bench: Bench, size: int) -> str:
    """Write `size` tools into the default tenant; a key that finds all of them."""
    key = (await gateway.command("keys", "create")).strip()
    async with open_database(at.settings) as database:
        while (space := await database.fetchrow("active_space")) is None:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
        await Filler(database, read_tools(bench.data, size), size).fill(space["id"])
    return key


async def p50_of(gateway: Gateway, requests: list[bytes], seconds: float) -> float:
    """Milliseconds of the middle one, over one connection, after a round that fills the caches."""
    await gateway.load(requests, 1, 60.0, once=True)
    return statistics.median((await gateway.load(requests, 1, seconds)).latencies)


async def measure_tools(bench: Bench, sizes: list[int]) -> None:
    """Search, list, memory, disk and start by the number of tools."""
    queries = read_queries(bench.data)[:_QUERIES]
    for size in sizes:
        async with place() as at:
            async with at.gateway() as (gateway, _):
                empty = gateway.resident_mib
                key = await fill(at, gateway, bench, size)
            async with at.gateway() as (gateway, ready):
                started = time.perf_counter()
                await gateway.load(searches(key, queries[:1]), 1, 60.0, once=True)
                first = time.perf_counter() - started
                search = await p50_of(gateway, searches(key, queries), bench.seconds)
                listing = await p50_of(gateway, [request(key, "tools/list")], bench.seconds)
                memory, disk = gateway.resident_mib, await at.disk_mib()
                print(
                    f"{size} tools: search {search:.2f} ms, list {listing:.2f} ms, ready in {ready:.1f} s, "
                    f"first search {first:.2f} s, {memory:.0f} MiB ({empty:.0f} without tools), {disk:.0f} MiB of disk",
                    flush=True,
                )
                group = "By the number of tools"
                record(
                    Figure(group, f"{size:,}", "search, p50", search, "ms", size, _TARGETS_MS.get(size)),
                    Figure(group, f"{size:,}", "tools/list, p50", listing, "ms", size),
                    Figure(group, f"{size:,}", "memory", memory, "MiB", size, 250.0 if size == 650 else None),
                    Figure(group, f"{size:,}", "disk", disk, "MiB", size),
                    Figure(group, f"{size:,}", "start to ready", ready, "s", size, 1.5),
                    Figure(group, f"{size:,}", "first search", first, "s", size),
                )


async def measure_servers(bench: Bench) -> None:
    """A hundred servers of fifty tools each, real processes over stdio."""
    count = bench.count(100)
    tools = read_tools(bench.data, 50 * count)
    # Tools of several real servers come together, and may have the same name.
    spread = [
        {**tool, "server": f"server {place // 50}", "name": f"{tool['name'][:50]}_{place}"}
        for place, tool in enumerate(tools)
    ]
    # The gateway connects to each when it first checks it.
    async with place() as at, at.gateway(MODELGATE_UPSTREAM_CHECK_EVERY_SECONDS="5") as (gateway, _):
        before = gateway.resident_mib
        await gateway.command("servers", "import", str(client_configuration(spread, at.folder)))
        started = time.perf_counter()
        await gateway.command("sync")
        took = time.perf_counter() - started
        while children_of(gateway.pid) < count:
            if time.perf_counter() - started > _CONNECT_SECONDS:
                raise RuntimeError(f"the servers were not connected within {_CONNECT_SECONDS:.0f} s")
            await asyncio.sleep(0.2)
        worked = gateway.cpu_seconds
        await asyncio.sleep(_IDLE_SECONDS)
        idle = (gateway.cpu_seconds - worked) / _IDLE_SECONDS * 100
        children = children_of(gateway.pid)
        print(
            f"{count} servers of 50 tools: synced in {took:.1f} s, {children} children, "
            f"{gateway.resident_mib - before:.0f} MiB more, idle {idle:.1f}% of a core"
        )
        group = "Servers over stdio, connected at once"
        record(
            Figure(group, f"{count} × 50 tools", "sync of all", took, "s"),
            Figure(group, f"{count} × 50 tools", "memory more", gateway.resident_mib - before, "MiB"),
            Figure(group, f"{count} × 50 tools", "idle CPU", idle, "%", target=1.0 if count <= 40 else None),
        )


async def measure_tenants(bench: Bench) -> None:
    """A thousand tenants of two hundred tools, searched in turn."""
    count, each = bench.count(1_000), 200
    queries = read_queries(bench.data)[:50]
    async with place() as at:
        async with at.gateway() as (gateway, _):
            await fill(at, gateway, bench, each)
        # No gateway runs meanwhile, which would embed what it finds without vectors.
        async with open_database(at.settings) as database:
            keys = await copy_default_tenant(database, count)
        async with at.gateway() as (gateway, ready):
            before = gateway.resident_mib
            in_turn = [searches(key, [queries[place % len(queries)]])[0] for place, key in enumerate(keys)]
            started = time.perf_counter()
            cold = await gateway.load(in_turn, 1, 300.0, once=True)
            took = time.perf_counter() - started
            warm = await gateway.load(in_turn, 1, bench.seconds)
            name, group = f"{count:,} × {each} tools", "Tenants"
            print(
                f"{name}: first search of each {took / len(cold.latencies) * 1000:.1f} ms, then p50 "
                f"{statistics.median(warm.latencies):.2f} ms, {gateway.resident_mib - before:.0f} MiB more, "
                f"ready in {ready:.1f} s, {await at.disk_mib():.0f} MiB of disk"
            )
            record(
                Figure(group, name, "first search of each", took / len(cold.latencies) * 1000, "ms"),
                Figure(group, name, "search, p50", statistics.median(warm.latencies), "ms"),
                Figure(group, name, "memory more", gateway.resident_mib - before, "MiB"),
                Figure(group, name, "disk", await at.disk_mib(), "MiB"),
                Figure(group, name, "start to ready", ready, "s"),
            )


async def measure_keys(bench: Bench) -> None:
    """Ten thousand keys of one tenant, used in turn."""
    count = bench.count(10_000)
    async with place() as at, at.gateway() as (gateway, _):
        await gateway.command("keys", "create")
        async with open_database(at.settings) as database:
            keys = await add_keys_of_default_tenant(database, count)
        before = gateway.resident_mib
        pings = [request(key, "ping") for key in keys]
        cold = statistics.median((await gateway.load(pings, 1, 60.0, once=True)).latencies)
        warm = await gateway.load(pings, 16, bench.seconds)
        print(
            f"{count} keys: ping with one that is new to the process {cold:.2f} ms, then {warm.per_second:.0f}/s, "
            f"{gateway.resident_mib - before:.0f} MiB more"
        )
        group, name = "Keys of one tenant", f"{count:,}"
        record(
            Figure(group, name, "ping with a new key, p50", cold, "ms"),
            Figure(group, name, "pings", warm.per_second, "per second"),
            Figure(group, name, "memory more", gateway.resident_mib - before, "MiB"),
        )


async def measure_sessions(bench: Bench) -> None:
    """Five thousand handshake sessions that are open, and a plain POST beside them."""
    count = bench.count(5_000)
    # Those that are being opened count twice.
    environ = {"MODELGATE_SERVER_MAX_SESSIONS_PER_CALLER": str(count + 100)}
    async with place() as at, at.gateway(**environ) as (gateway, _):
        key = (await gateway.command("keys", "create")).strip()
        ping = [request(key, "ping")]
        alone = await p50_of(gateway, ping, bench.seconds)
        before, started = gateway.resident_mib, time.perf_counter()
        opened = await open_sessions(f"http://127.0.0.1:{gateway.port}/mcp", key, count)
        took = time.perf_counter() - started
        beside = await p50_of(gateway, ping, bench.seconds)
        each = (gateway.resident_mib - before) * 1024 / len(opened)
        print(
            f"{len(opened)} sessions: opened at {len(opened) / took:.0f}/s, {each:.1f} KiB each, "
            f"a ping beside them {beside:.2f} ms ({alone:.2f} without)"
        )
        group, name = "Open handshake sessions", f"{len(opened):,}"
        record(
            Figure(group, name, "opened", len(opened) / took, "per second"),
            Figure(group, name, "memory of each", each, "KiB"),
            Figure(group, name, "ping beside them, p50", beside, "ms"),
            Figure(group, name, "ping without them, p50", alone, "ms"),
        )


def children_of(pid: int) -> int:
    """How many processes a process has started that are there."""
    parents = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.append(int(stat.read_text().rpartition(")")[2].split()[1]))
    return parents.count(pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("tools", "servers", "tenants", "keys", "sessions")
    parser.add_argument("parts", nargs="*", default=parts, help="all of them unless named")
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools and queries")
    parser.add_argument("--sizes", default="650,5194,20000,100000", help="numbers of tools, one run for each")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load lasts")
    parser.add_argument("--small", action="store_true", help="a tenth of everything")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(parts):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    bench = Bench(given.data, given.seconds, 0.1 if given.small else 1.0)
    sizes = [int(size) for size in ("650,5194" if given.small else given.sizes).split(",")]
    runs = {
        "tools": lambda: measure_tools(bench, sizes),
        "servers": lambda: measure_servers(bench),
        "tenants": lambda: measure_tenants(bench),
        "keys": lambda: measure_keys(bench),
        "sessions": lambda: measure_sessions(bench),
    }
    for part in given.parts:
        asyncio.run(runs[part]())


if __name__ == "__main__":
    main()
