"""One catalogue searched in memory, in PostgreSQL and in an OpenSearch cluster: what a search takes in each.

    python -m bench.engines [--data FOLDER] [--sizes 650,5194,20000,100000] [--seconds 3] [--cluster URL]

The folder is that of `bench.search`, and so are catalogues, queries and loads. Without a cluster a node of one is
started as `make opensearch` does it, with 1 GB of heap (Java 17 and Maven). Of the cluster it is said, too, how long it
took to be filled and what it takes on disk. All three are asked with the same 200 queries, and it is counted how many
answers name the same tools in the same order as those from memory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.catalogue import Filler, read_queries, read_tools
from bench.figures import Figure, record
from bench.search import CONNECTIONS, IN_TURN, SHARES, Gateway, answer, searches
from gateway.database.embedded import EmbeddedServer
from gateway.database.pool import open_database
from gateway.settings import load_settings
from tests.opensearch.node import running_node

ENGINES = ("memory", "pgvector", "opensearch")
_FILL_SECONDS = 900
_MB = 1_000_000


async def measure(folder: Path, size: int, seconds: float, cluster: str) -> None:
    tools, queries = read_tools(folder, size), read_queries(folder)
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    of_cluster = {"MODELGATE_OPENSEARCH_URLS": cluster, "MODELGATE_OPENSEARCH_INDEX_PREFIX": prefix}
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir:
        database_server = EmbeddedServer(Path(data_dir))
        url = await asyncio.to_thread(database_server.start)
        try:
            keys = await _fill(Path(data_dir), url, tools, size)
            requests = {
                share: searches(key, queries[:: len(queries) // IN_TURN][:IN_TURN]) for share, key in keys.items()
            }
            print(f"\n## {size:,} tools\n\n| index | visible | connections | p50 ms | p95 ms | per second | CPU ms |")
            print("|---|---|---|---|---|---|---|")
            in_memory: list[list[str]] = []
            remarks, filled = [], 0.0
            for engine in ENGINES:
                more = {"MODELGATE_SEARCH_INDEX": engine, "MODELGATE_OPENSEARCH_REPLICAS": "0", **of_cluster}
                started = time.perf_counter()
                async with Gateway(Path(data_dir), url, **more) as gateway:
                    if engine == "opensearch":
                        await _filled(gateway, size)
                        filled = time.perf_counter() - started
                    found = [_names(body) for body in await answer(gateway, requests[1.0])]
                    in_memory = in_memory or found
                    same = sum(names == expected for names, expected in zip(found, in_memory, strict=True))
                    remarks.append(f"{engine}: {same} of {len(found)} answers as in memory.")
                    await _loads(gateway, engine, size, requests, seconds)
                    if engine == "opensearch":
                        # The cluster looks at its disk every ten seconds.
                        index = await _filled(gateway, size)
                        remarks.append(f"Filled in {filled:.1f} s, {index['bytes'] / _MB:.1f} MB on disk.")
                        record(
                            Figure("The cluster", f"{size:,} tools", "filled", filled, "s", size),
                            Figure("The cluster", f"{size:,} tools", "disk", index["bytes"] / 2**20, "MiB", size),
                        )
            print("\n" + "\n".join(remarks))
            await _drop(Path(data_dir), url, of_cluster)
        finally:
            await asyncio.to_thread(database_server.stop)


async def _fill(data_dir: Path, url: str, tools: list[dict[str, Any]], size: int) -> dict[float, str]:
    """The keys by which share of the tools they find."""
    settings = load_settings(environ={"MODELGATE_DATABASE_URL": url, "MODELGATE_CONFIG": os.devnull})
    async with Gateway(data_dir, url) as gateway, open_database(settings) as database:
        keys = {1.0: (await gateway.command("keys", "create")).strip()}
        filler = Filler(database, tools, size)
        while (space := await database.fetchrow("active_space")) is None:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
        ids = await filler.fill(space["id"])
        for share in SHARES[:2]:
            step = round(1 / share)
            await filler.add_role(f"share{step}", ids[::step])
            keys[share] = (await gateway.command("keys", "create", "--role", f"share{step}")).strip()
    return keys


async def _filled(gateway: Gateway, size: int) -> dict[str, Any]:
    """The index, once it serves with all tools."""
    deadline = time.perf_counter() + _FILL_SECONDS
    while time.perf_counter() < deadline:
        status = json.loads(await gateway.command("index", "status", "--json") or "{}")
        for index in status.get("indexes", ()):
            if index["state"] == "serving" and index["documents"] == size:
                return dict(index)
        await asyncio.sleep(0.2)
    raise RuntimeError(f"The cluster was not filled within {_FILL_SECONDS} s.")


async def _loads(gateway: Gateway, engine: str, size: int, requests: dict[float, list[bytes]], seconds: float) -> None:
    for share, asked in requests.items():
        for connections in (1, CONNECTIONS) if share == 1.0 else (1,):
            load = await gateway.load(asked, connections, seconds)
            print(f"| {engine} | {share:.0%} | {connections} | {load} |", flush=True)
            group = f"Where searches run, {share:.0%} visible, {connections} connection{'s' if connections > 1 else ''}"
            record(
                Figure(group, f"{engine}, {size:,} tools", "p50", load.p50, "ms"),
                Figure(group, f"{engine}, {size:,} tools", "p95", load.p95, "ms"),
                Figure(group, f"{engine}, {size:,} tools", "rate", load.per_second, "per second"),
            )


def _names(body: bytes) -> list[str]:
    found = json.loads(json.loads(body)["result"]["content"][0]["text"])
    if "notice" in found:
        raise RuntimeError(found["notice"])
    return [tool["name"] for tool in found["tools"]]


async def _drop(data_dir: Path, url: str, of_cluster: dict[str, str]) -> None:
    stopped = Gateway(data_dir, url, MODELGATE_SEARCH_INDEX="opensearch", **of_cluster)
    await stopped.command("index", "drop", "--yes")


@contextlib.contextmanager
def _cluster(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with (
        tempfile.TemporaryDirectory(prefix="modelgate-bench-") as folder,
        running_node(Path(folder) / "node", heap_mb=1_024) as node,
    ):
        yield node.url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools and queries")
    parser.add_argument("--sizes", default="650,5194,20000,100000", help="numbers of tools, one run for each")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load lasts")
    parser.add_argument("--cluster", help="URL of a cluster, of which only indexes of this bench's own are used")
    arguments = parser.parse_args()
    with _cluster(arguments.cluster) as url:
        for size in arguments.sizes.split(","):
            asyncio.run(measure(arguments.data, int(size), arguments.seconds, url))


if __name__ == "__main__":
    main()
