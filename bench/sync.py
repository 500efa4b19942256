"""How fast `tool_search` is over a real socket.

    python -m bench.search --data toucan-mcp-tools.jsonl.gz [--sizes 100,650,5194] [--seconds 5]

The file holds one tool a line: `{"server", "name", "description", "inputSchema"}`. For each size a gateway is started
as a user starts it, a process with the embedded PostgreSQL and the builtin embedder, and it syncs that many tools from
real upstream servers over stdio. Then this process sends one-shot POSTs, 200 different queries in turn, over one
connection and over 16, and bare `ping` requests to compare with.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.listed import listed_command

ROOT = Path(__file__).parents[1]
QUERIES = 200
CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured: milliseconds of each request, and requests a second."""

    latencies: list[float]
    per_second: float

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


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


def request(key: str, method: str, params: Any = None) -> bytes:
    """One POST to /mcp, ready to be sent."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params})}
    body = json.dumps(message).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def load(port: int, requests: list[bytes], connections: int, seconds: float) -> Load:
    """Send `requests` in turn, over so many connections, for so long."""
    latencies: list[float] = []
    turn = 0
    ends = time.perf_counter() + seconds

    async def work(connection: Connection) -> None:
        nonlocal turn
        while time.perf_counter() < ends:
            turn += 1
            started = time.perf_counter()
            await connection.send(requests[turn % len(requests)])
            latencies.append((time.perf_counter() - started) * 1000)

    opened = [await Connection.open(port) for _ in range(connections)]
    started = time.perf_counter()
    await asyncio.gather(*(work(connection) for connection in opened))
    took = time.perf_counter() - started
    for connection in opened:
        connection.close()
    return Load(latencies, len(latencies) / took)


def read_tools(path: Path, size: int) -> list[dict[str, Any]]:
    """The first `size` tools of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for _, line in zip(range(size), lines, strict=False)]


def queries_of(tools: list[dict[str, Any]]) -> list[str]:
    """200 different questions: the first sentences of tools spread over the catalogue, without their names."""
    step = max(1, len(tools) // QUERIES)
    texts = [tool["description"].split(".")[0][:120].strip() or tool["name"] for tool in tools[::step]]
    return [f"{text} {number}" if texts.index(text) != number else text for number, text in enumerate(texts)][:QUERIES]


def client_configuration(tools: list[dict[str, Any]], folder: Path) -> Path:
    """An mcpServers file with one real stdio server for each server of the tools."""
    by_server: dict[str, list[dict[str, Any]]] = {}
    for tool in tools:
        by_server.setdefault(tool["server"].replace("/", " ")[:100], []).append(
            {key: tool[key] for key in ("name", "description", "inputSchema")}
        )
    servers = {}
    for number, (name, listed) in enumerate(by_server.items()):
        file = folder / f"{number}.json"
        file.write_text(json.dumps({"tools": listed}), encoding="utf-8")
        command, arguments = listed_command(file)
        servers[name] = {"command": command, "args": list(arguments)}
    path = folder / "servers.json"
    path.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    return path


async def command(environ: dict[str, str], *arguments: str) -> str:
    """What `modelgate` prints for these arguments."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments), env=environ, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode()


async def measure(path: Path, size: int, seconds: float) -> None:
    tools = read_tools(path, size)
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as folder:
        environ = {
            **os.environ,
            "MODELGATE_DATA_DIR": str(Path(folder) / "data"),
            "MODELGATE_EMBEDDER_TYPE": "builtin",
            "MODELGATE_SERVER_PORT": "0",
            "MODELGATE_CONFIG": os.devnull,
            "PYTHONPATH": str(ROOT),
        }
        serve = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve"),
            env={**environ, "MODELGATE_SERVER_LOG_LEVEL": "warning"},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert serve.stdout is not None
            port = int((await serve.stdout.readline()).split(b"/mcp")[0].rpartition(b":")[2])
            await command(environ, "servers", "import", str(client_configuration(tools, Path(folder))))
            started = time.perf_counter()
            await command(environ, "sync")
            synced = time.perf_counter() - started
            key = (await command(environ, "keys", "create")).strip()
            searches = [
                request(key, "tools/call", {"name": "tool_search", "arguments": {"query": query}})
                for query in queries_of(tools)
            ]
            await report(port, size, synced, searches, request(key, "ping"), seconds)
        finally:
            serve.send_signal(signal.SIGTERM)
            await serve.wait()


async def report(port: int, size: int, synced: float, searches: list[bytes], ping: bytes, seconds: float) -> None:
    connection = await Connection.open(port)
    found = [json.loads(json.loads(await connection.send(each))["result"]["content"][0]["text"]) for each in searches]
    connection.close()
    some = sum(1 for answer in found if answer["tools"])
    mean = statistics.mean(answer["total_found"] for answer in found)
    print(f"{size} tools, synced in {synced:.1f} s; {some} of {len(found)} queries found some, {mean:.1f} on average")
    for connections in (1, CONNECTIONS):
        bare = await load(port, [ping], connections, seconds / 2)
        search = await load(port, searches, connections, seconds)
        for name, result in (("ping", bare), ("tool_search", search)):
            print(
                f"  {connections:>2} connection(s)  {name:<12} p50 {result.percentile(0.5):7.2f} ms  "
                f"p95 {result.percentile(0.95):7.2f} ms  {result.per_second:8.0f}/s  "
                f"{bare.per_second / result.per_second:5.1f} × ping"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="toucan-mcp-tools.jsonl.gz")
    parser.add_argument("--sizes", default="100,650,5194", help="how many of its tools, one run for each")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each load lasts")
    arguments = parser.parse_args()
    for size in arguments.sizes.split(","):
        asyncio.run(measure(arguments.data, int(size), arguments.seconds))


if __name__ == "__main__":
    main()
