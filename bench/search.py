"""How fast `tool_search` is over a real socket, and what the index takes.

    python -m bench.search [--data FOLDER] [--sizes 650,5194,20000,100000] [--seconds 3]

The folder (or $MODELGATE_BENCH_DATA) holds `toucan-mcp-tools.jsonl.gz` and `agent-queries.jsonl.gz`. For each size a
gateway runs as a user runs it, a process with the builtin embedder beside an embedded PostgreSQL that is filled with so
many tools (real ones, then variations of them). This process sends one-shot POSTs: 200 queries in turn, whose vectors
are then cached; queries that are all new; and with keys of roles that find a share of the tools. `CPU` is what the
gateway's process worked for a request, which load on the machine lengthens less than what passed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bench.catalogue import Filler, read_queries, read_tools
from bench.figures import Figure, record
from gateway.database.embedded import EmbeddedServer
from gateway.database.pool import open_database
from gateway.settings import load_settings

ROOT = Path(__file__).parents[1]
IN_TURN = 200
CONNECTIONS = 16
SHARES = (0.1, 0.01, 0.001)
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured: milliseconds of each request, requests a second, the gateway's CPU milliseconds each."""

    latencies: list[float]
    per_second: float
    cpu: float

    @property
    def p50(self) -> float:
        return self._quantile(0.5)

    @property
    def p95(self) -> float:
        return self._quantile(0.95)

    def _quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        return f"{self.p50:7.2f} | {self.p95:7.2f} | {self.per_second:6.0f} | {self.cpu:6.2f}"


class Connection:
    """One HTTP/1.1 connection, as thin as it can be: what is measured is the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, request: bytes) -> bytes:
        """The body of the answer. Raises RuntimeError for any status but 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode() + body.decode())
        return body

    def close(self) -> None:
        self._writer.close()


class Gateway:
    """A gateway process on the database at `url`; `more` are further variables of its environment."""

    def __init__(self, folder: Path, url: str, **more: str) -> None:
        # What this bench is told by the environment is no setting of the gateway.
        self._environ = {
            **{name: value for name, value in os.environ.items() if name != "MODELGATE_BENCH_DATA"},
            "MODELGATE_DATA_DIR": str(folder),
            "MODELGATE_DATABASE_URL": url,
            "MODELGATE_EMBEDDER_TYPE": "builtin",
            "MODELGATE_SERVER_PORT": "0",
            "MODELGATE_CONFIG": os.devnull,
            "PYTHONPATH": str(ROOT),
            **more,
        }
        self.port = 0

    async def __aenter__(self) -> Gateway:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve"),
            env={**self._environ, "MODELGATE_SERVER_LOG_LEVEL": "error"},
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int((await self._process.stdout.readline()).split(b"/mcp")[0].rpartition(b":")[2])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        await self._process.wait()

    async def command(self, *arguments: str) -> str:
        """What `modelgate` prints for these arguments."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *arguments), env=self._environ, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out.decode()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_mib(self) -> float:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB

    async def load(self, requests: list[bytes], connections: int, seconds: float, *, once: bool = False) -> Load:
        """Send `requests` in turn, over so many connections, for so long; each at most `once` if that is set."""
        latencies: list[float] = []
        turn = 0
        ends = time.perf_counter() + seconds

        async def work(connection: Connection) -> None:
            nonlocal turn
            while time.perf_counter() < ends and not (once and turn >= len(requests)):
                turn += 1
                started = time.perf_counter()
                await connection.send(requests[(turn - 1) % len(requests)])
                latencies.append((time.perf_counter() - started) * 1000)

        opened = [await Connection.open(self.port) for _ in range(connections)]
        started, worked = time.perf_counter(), self.cpu_seconds
        await asyncio.gather(*(work(connection) for connection in opened))
        took, worked = time.perf_counter() - started, self.cpu_seconds - worked
        for connection in opened:
            connection.close()
        return Load(latencies, len(latencies) / took, worked * 1000 / len(latencies))


def request(key: str, method: str, params: Any = None) -> bytes:
    """One POST to /mcp, ready to be sent."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params})}
    body = json.dumps(message).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def searches(key: str, queries: list[str], **arguments: Any) -> list[bytes]:
    return [
        request(key, "tools/call", {"name": "tool_search", "arguments": {"query": query, **arguments}})
        for query in queries
    ]


async def answer(gateway: Gateway, requests: list[bytes]) -> list[bytes]:
    connection = await Connection.open(gateway.port)
    bodies = [await connection.send(each) for each in requests]
    connection.close()
    return bodies


async def measure(folder: Path, size: int, seconds: float) -> None:
    tools, queries = read_tools(folder, size), read_queries(folder)
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir:
        database_server = EmbeddedServer(Path(data_dir))
        url = await asyncio.to_thread(database_server.start)
        try:
            async with Gateway(Path(data_dir), url) as gateway:
                settings = load_settings(environ={"MODELGATE_DATABASE_URL": url, "MODELGATE_CONFIG": os.devnull})
                keys = {1.0: (await gateway.command("keys", "create")).strip()}
                async with open_database(settings) as database:
                    filler = Filler(database, tools, size)
                    while (space := await database.fetchrow("active_space")) is None:  # noqa: ASYNC110 - of another process
                        await asyncio.sleep(0.1)
                    empty = gateway.resident_mib
                    ids = await filler.fill(space["id"])
                    for share in SHARES:
                        step = round(1 / share)
                        await filler.add_role(f"share{step}", ids[::step])
                        created = await gateway.command("keys", "create", "--role", f"share{step}")
                        keys[share] = created.strip()
                await report(gateway, size, keys, queries, seconds, empty)
        finally:
            await asyncio.to_thread(database_server.stop)


async def report(
    gateway: Gateway, size: int, keys: dict[float, str], queries: list[str], seconds: float, empty: float
) -> None:
    in_turn, rest = queries[:: len(queries) // IN_TURN][:IN_TURN], iter(queries[1::2])
    everything = searches(keys[1.0], in_turn)
    started = time.perf_counter()
    await answer(gateway, everything[:1])
    built = time.perf_counter() - started
    bodies = await answer(gateway, everything)
    texts = [json.loads(body)["result"]["content"][0]["text"] for body in bodies]
    found = [json.loads(text) for text in texts]
    tools, lines = ([len(each.get(kind, ())) for each in found] for kind in ("tools", "more"))
    print(
        f"\n## {size} tools\n\n"
        f"First search, which builds the index, {built:.2f} s; {gateway.resident_mib:.0f} MiB, "
        f"{gateway.resident_mib - empty:.0f} more than without tools. {sum(map(bool, tools))} of {len(found)} answers "
        f"hold tools; {statistics.mean(tools):.1f} tools and {statistics.mean(lines):.1f} lines on average, "
        f"{statistics.mean(map(len, texts)) / 4:.0f} tokens (of four characters).\n"
    )
    print("| one-shot | connections | p50 ms | p95 ms | per second | CPU ms |\n|---|---|---|---|---|---|")

    async def row(name: str, requests: list[bytes], connections: int = 1, *, once: bool = False) -> None:
        load = await gateway.load(requests, connections, seconds, once=once)
        print(f"| {name} | {connections} | {load} |", flush=True)
        group = f"Search, {size:,} tools, {connections} connection{'s' if connections > 1 else ''}"
        record(
            Figure(group, name, "p50", load.p50, "ms"),
            Figure(group, name, "p95", load.p95, "ms"),
            Figure(group, name, "rate", load.per_second, "per second"),
            Figure(group, name, "CPU of the gateway", load.cpu, "ms"),
        )

    for connections in (1, CONNECTIONS):
        await row("ping", [request(keys[1.0], "ping")], connections)
        await row("vectors cached", everything, connections)
        fresh = searches(keys[1.0], list(islice(rest, 2_000)))
        await row("every query new", fresh, connections, once=True)
    await row("vectors cached, `detail` full, 20 results", searches(keys[1.0], in_turn, detail="full", max_results=20))
    for share in SHARES:
        requests = searches(keys[share], in_turn)
        await answer(gateway, requests[:1])
        await row(f"vectors cached, {share:.1%} visible", requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools and queries")
    parser.add_argument("--sizes", default="650,5194,20000,100000", help="numbers of tools, one run for each")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load lasts")
    arguments = parser.parse_args()
    for size in arguments.sizes.split(","):
        asyncio.run(measure(arguments.data, int(size), arguments.seconds))


if __name__ == "__main__":
    main()
