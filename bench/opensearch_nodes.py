"""A gateway whose searches run in OpenSearch, during a sync, while a node of the cluster is killed.

    python -m bench.opensearch_nodes [--data FOLDER] [--nodes 3] [--tools 400] [--more 200] [--seconds 60]

The folder is that of `bench.search`. A gateway runs as a user runs it, beside an embedded PostgreSQL, on a cluster of
so many nodes. It is searched over HTTP, four at once, by a key that finds the first `tools`; meanwhile `more` of real
upstream servers over stdio change, a quarter of them a second, and the gateway syncs them again and again. After a
third of the time the node that manages the cluster is killed, with its disk, and is not started again; of a single node
none is, so that `--nodes 1 --seconds 20` measures how far the cluster is behind. Said in the end:

- searches that failed, that were answered by PostgreSQL in the cluster's place, and that are wrong: the syncs change
  nothing of what that key finds, so that the best is there as before, and no tool that it does not find;
- documents that differ from the catalogue once the feed has caught up;
- how long after a change was committed the cluster finds it, at most;
- p95 before the kill, and after how many seconds that of any five of them stayed within half as much again.

How far it is goes to stderr. Three nodes take about 1.5 GB of memory, and all of it three minutes on two slow cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

from bench.catalogue import TENANT, Filler, Tool, read_queries, read_tools
from bench.figures import Figure, record
from bench.search import Connection, Gateway, answer, searches
from bench.sync import client_configuration
from gateway.database.embedded import EmbeddedServer
from gateway.database.pool import Database, open_database
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.errors import DatabaseError, OpenSearchError
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import tenant_key
from gateway.search.index.opensearch.feed.feed_state import read_version, version_body
from gateway.search.index.opensearch.feed.reconciler import Reconciler
from gateway.search.index.opensearch.feed.tenant_feed import TenantFeed
from gateway.search.index.opensearch.index_store import IndexStore, serving_index
from gateway.search.index.opensearch.mapping import space_alias
from gateway.settings import OpenSearchSettings, load_settings
from tests.opensearch.node import Node, running_node

_AT_ONCE = 4
_QUERIES = 20
_PREFIX = "bench-nodes"
_PORTS = (29_301, 29_302, 29_303, 29_304, 29_305)
_READY_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_TOOLS_OF_SERVER = 50
_WINDOW_SECONDS = 5.0
_started = time.monotonic()


def say(text: str) -> None:
    """Tell what is under way, and how long it took to come there."""
    print(f"[{time.monotonic() - _started:3.0f} s] {text}", file=sys.stderr, flush=True)


@dataclass
class Searches:
    """What became of them: moment and ms of each; `in_database` are those that PostgreSQL answered, `otherwise` those
    that are not the same to the last tool."""

    took: list[tuple[float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    in_database: int = 0
    otherwise: int = 0

    def p95(self, since: float, until: float) -> float:
        times = [took for moment, took in self.took if since <= moment < until]
        return float(np.percentile(times, 95)) if times else float("nan")

    def seconds_until(self, killed_at: float, until: float, most: float) -> float:
        """From the kill until p95 of any five seconds is at `most` and stays so; NaN where it does not."""
        bad = [
            start
            for start in np.arange(killed_at, until - _WINDOW_SECONDS, 1.0).tolist()
            if not self.p95(start, start + _WINDOW_SECONDS) <= most
        ]
        if not bad:
            return 0.0
        back: float = bad[-1] + _WINDOW_SECONDS - killed_at
        return back if killed_at + back + _WINDOW_SECONDS <= until else float("nan")


@dataclass
class Versions:
    """Which version of the catalogue there was at which moment, in PostgreSQL and in what searches of the cluster
    find."""

    catalogue: list[tuple[float, int]] = field(default_factory=list)
    cluster: list[tuple[float, int]] = field(default_factory=list)

    def lags(self) -> list[float]:
        """For each version that the catalogue was seen at, in seconds, how much later the cluster had it."""
        seen = np.maximum.accumulate([version for _, version in self.cluster]).tolist() if self.cluster else []
        lags = []
        for (_, before), (moment, version) in pairwise(self.catalogue):
            place = bisect_left(seen, version)
            if version > before and place < len(seen):
                lags.append(max(0.0, self.cluster[place][0] - moment))
        return lags


@contextmanager
def running_nodes(count: int) -> Iterator[list[Node]]:
    """So many nodes of one cluster, which wait for each other."""
    names = [f"node-{number}" for number in range(count)]
    seeds = "[" + ",".join(f"127.0.0.1:{port}" for port in _PORTS[:count]) + "]"
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as folder, ExitStack() as stack:

        def one(number: int) -> Node:
            settings = {"node.name": names[number]}
            if count > 1:
                settings |= {
                    "transport.port": str(_PORTS[number]),
                    "discovery.seed_hosts": seeds,
                    "cluster.initial_cluster_manager_nodes": "[" + ",".join(names) + "]",
                }
            return stack.enter_context(running_node(Path(folder) / names[number], heap_mb=384, settings=settings))

        with ThreadPoolExecutor(count) as threads:
            nodes = list(threads.map(one, range(count)))
        say("the nodes answer")
        yield nodes


async def managing(client: OpenSearchClient, nodes: Sequence[Node]) -> Node:
    """The node that manages the cluster."""
    state = await client.request("GET", "/_cluster/state/cluster_manager_node,nodes")
    name = state["nodes"][state["cluster_manager_node"]]["name"]
    return nodes[int(name.rpartition("-")[2])]


async def search(
    gateway: Gateway, asked: Sequence[tuple[bytes, list[str]]], visible: Set[str], until: float, out: Searches
) -> None:
    """Ask again and again, and compare with what was answered before."""
    connection = await Connection.open(gateway.port)
    place = int(np.random.default_rng().integers(len(asked)))
    while time.monotonic() < until:
        request, expected = asked[place % len(asked)]
        place += 1
        started = time.monotonic()
        try:
            body = json.loads(await connection.send(request))
            found = _found(body)
        except (OSError, EOFError, RuntimeError, KeyError, ValueError) as error:
            out.failed.append(f"{type(error).__name__}: {error}"[:300])
            connection.close()
            connection = await Connection.open(gateway.port)
            continue
        names = [tool["name"] for tool in found["tools"]]
        out.in_database += "notice" in found
        # PostgreSQL rounds otherwise, so that tools that are nearly equal may change places.
        out.otherwise += names != expected
        if set(names) - visible or (expected and expected[0] not in names):
            out.wrong.append(f"{names} in place of {expected}")
        out.took.append((started, (time.monotonic() - started) * 1_000))
    connection.close()


def _found(body: Any) -> Any:
    result = body["result"]
    if result.get("isError"):
        raise RuntimeError(str(result)[:300])
    return json.loads(result["content"][0]["text"])


class Watch:
    """Looks at both sides until `ended` is set."""

    def __init__(self, database: Database, client: OpenSearchClient, space: StoredSpace, tenant: str) -> None:
        self._database = database
        self._client = client
        self._alias = space_alias(client.settings, space.id)
        self._tenant = tenant
        self.versions = Versions()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        await asyncio.gather(self._look_at_catalogue(), self._look_at_cluster())

    async def catalogue(self) -> int:
        """The version that PostgreSQL has."""
        version: int = await self._database.fetchval("catalogue_version", TENANT)
        return version

    async def cluster(self) -> int:
        """The version up to which searches find all. Raises OpenSearchError."""
        (found,) = await self._client.search_each(self._alias, [version_body(self._tenant)], routing=str(TENANT))
        return read_version(found)

    async def until_same(self) -> None:
        """Wait until the cluster has what the catalogue has now."""
        deadline = time.monotonic() + _READY_SECONDS
        wanted = await self.catalogue()
        while time.monotonic() < deadline:
            with contextlib.suppress(OpenSearchError):
                if await self.cluster() >= wanted:
                    return
            await asyncio.sleep(_LOOK_SECONDS)
        raise RuntimeError(f"The cluster did not follow the catalogue within {_READY_SECONDS:g} s.")

    async def _look_at_catalogue(self) -> None:
        # What is found now may have been committed right after the last look: a lag is never said too short.
        before = time.monotonic()
        while not self.ended.is_set():
            version = await self.catalogue()
            self.versions.catalogue.append((before, version))
            before = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look_at_cluster(self) -> None:
        while not self.ended.is_set():
            # Whoever searches meanwhile is answered by PostgreSQL.
            with contextlib.suppress(OpenSearchError):
                version = await self.cluster()
                self.versions.cluster.append((time.monotonic(), version))
            await asyncio.sleep(_LOOK_SECONDS)


class ChangingServers:
    """Real servers over stdio, of fifty tools each, that change a quarter of them a second."""

    def __init__(self, tools: Sequence[Tool], folder: Path) -> None:
        self._folder = folder
        # Two servers may have had tools of one name.
        self._tools = [
            {**tool, "server": f"changing {place // _TOOLS_OF_SERVER}", "name": f"{tool['name'][:50]}_{place}"}
            for place, tool in enumerate(tools)
        ]

    def write(self) -> Path:
        """Have them list what they do now; returns an mcpServers file of them."""
        return client_configuration(self._tools, self._folder)

    async def begin(self, url: str) -> list[str]:
        """Have the gateway look at them each second from their first sync on; returns their names there."""
        connection = await asyncpg.connect(url)
        rows = await connection.fetch(
            "UPDATE servers SET sync_every_seconds = 1 WHERE transport = 'stdio' RETURNING name"
        )
        await connection.close()
        return [row["name"] for row in rows]

    async def until_synced(self, url: str) -> None:
        """Wait until the catalogue has what they list now."""
        wanted = Counter(tool["description"] for tool in self._tools)
        connection = await asyncpg.connect(url)
        deadline = time.monotonic() + _READY_SECONDS
        there = Counter[str]()
        while there != wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"The gateway did not sync its servers within {_READY_SECONDS:g} s.")
            await asyncio.sleep(_LOOK_SECONDS)
            rows = await connection.fetch(
                "SELECT definition->>'description' AS said FROM tools JOIN servers ON servers.id = server_id "
                "WHERE transport = 'stdio' AND removed_at IS NULL"
            )
            there = Counter(row["said"] for row in rows)
        await connection.close()

    async def change(self) -> None:
        """Until cancelled."""
        original = [tool["description"] for tool in self._tools]
        for turn in itertools.count(1):
            await asyncio.sleep(1.0)
            for place in range(turn % 4, len(self._tools), 4):
                self._tools[place]["description"] = f"{original[place]} Revised {turn} times."
            await asyncio.to_thread(self.write)


async def _names(client: OpenSearchClient, space: StoredSpace) -> frozenset[str]:
    """Of all tools that are there."""
    body = {"size": 10_000, "query": {"exists": {"field": "tool"}}, "_source": ["name"]}
    (answer,) = await client.search_each(space_alias(client.settings, space.id), [body], routing=str(TENANT))
    return frozenset(hit["_source"]["name"] for hit in answer["hits"]["hits"])


async def _until_embedded(database: Database, space: StoredSpace, tools: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        vectors = await database.fetchval("count_ranking_vectors", TENANT, space=space.id)
        if vectors == tools:
            return
        await asyncio.sleep(0.5)
    raise RuntimeError(f"The gateway did not have {tools} vectors within {_READY_SECONDS:g} s.")


async def _differing(database: Database, client: OpenSearchClient, space: StoredSpace) -> int:
    """How many documents are not what the catalogue says, or not there."""
    installation = await database.fetchval("installation_id")
    index = serving_index(await IndexStore(database, client, installation).indexes(), space.id)
    assert index is not None
    await client.request("POST", url_path(index.name, "_refresh"))
    feed = TenantFeed(database, client, installation, space, index.name)
    return await Reconciler(database, client, installation, space, index.name, feed).mend(TENANT)


async def measure(nodes: Sequence[Node], folder: Path, count: int, more: int, seconds: float) -> bool:
    every, queries = read_tools(folder, count + more), read_queries(folder)
    tools: list[Tool] = every[:count]
    urls = ",".join(node.url for node in nodes)
    replicas = min(1, len(nodes) - 1)
    client = OpenSearchClient(
        OpenSearchSettings(urls=tuple(urls.split(",")), index_prefix=_PREFIX, replicas=replicas, timeout_ms=5_000)
    )
    environ = {
        "MODELGATE_SEARCH_INDEX": "opensearch",
        "MODELGATE_OPENSEARCH_URLS": urls,
        "MODELGATE_OPENSEARCH_INDEX_PREFIX": _PREFIX,
        "MODELGATE_OPENSEARCH_REPLICAS": str(replicas),
        # The servers of the tools that are searched are not there.
        "MODELGATE_UPSTREAM_CHECK_EVERY_SECONDS": "0",
    }
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir:
        database_server = EmbeddedServer(Path(data_dir))
        url = await asyncio.to_thread(database_server.start)
        settings = load_settings(environ={"MODELGATE_DATABASE_URL": url, "MODELGATE_CONFIG": os.devnull})
        try:
            async with Gateway(Path(data_dir), url, **environ) as gateway, open_database(settings) as database:
                while (row := await database.fetchrow("active_space")) is None:  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.1)
                space = next(
                    record.stored for record in await SpaceStore(database).records() if record.stored.id == row["id"]
                )
                say("the gateway answers")
                filler = Filler(database, tools, count)
                await filler.add_role("first", await filler.fill(space.id))
                key = (await gateway.command("keys", "create", "--role", "first")).strip()
                say(f"{count:,} tools are in the catalogue")
                watch = Watch(database, client, space, tenant_key(await database.fetchval("installation_id"), TENANT))
                await watch.until_same()
                say(f"{count:,} tools are in the cluster")
                visible = await _names(client, space)
                await client.request(
                    "GET", "/_cluster/health", params={"wait_for_status": "green", "timeout": "60s"}, seconds=70
                )
                say("the cluster has its copies")
                requests = searches(key, queries[:: max(1, len(queries) // _QUERIES)][:_QUERIES])
                expected = [_found(json.loads(body)) for body in await answer(gateway, requests)]
                asked = [
                    (request, [tool["name"] for tool in found["tools"]])
                    for request, found in zip(requests, expected, strict=True)
                ]
                out = Searches()
                servers = ChangingServers(every[count:], Path(data_dir))
                await gateway.command("servers", "import", str(servers.write()))
                await gateway.command("sync", *await servers.begin(url))
                await servers.until_synced(url)
                say(f"{more:,} other tools are in the catalogue")
                await watch.until_same()
                say(f"searching for {seconds:g} s while {more:,} other tools change")
                changing = asyncio.create_task(servers.change())
                watching = asyncio.create_task(watch.run())
                killed = await managing(client, nodes)
                began = time.monotonic()
                until, kill_at = began + seconds, began + seconds / 3
                searching = [asyncio.create_task(search(gateway, asked, visible, until, out)) for _ in range(_AT_ONCE)]
                await asyncio.sleep(kill_at - time.monotonic())
                if len(nodes) > 1:
                    await asyncio.to_thread(killed.kill)
                    say("the node that managed the cluster is killed")
                await asyncio.gather(*searching)
                say("searches are over")
                watch.ended.set()
                changing.cancel()
                await asyncio.gather(watching, changing, return_exceptions=True)
                await servers.until_synced(url)
                total = int(await database.fetchval("feed_documents", TENANT))
                await _until_embedded(database, space, total)
                say(f"{total:,} tools have vectors")
                await watch.until_same()
                say("the cluster has all of it")
                differing = await _differing(database, client, space)
        except DatabaseError as error:
            raise RuntimeError(f"The database failed: {error.message}") from error
        finally:
            await client.aclose()
            await asyncio.to_thread(database_server.stop)
    _report(out, watch, total, differing, began, kill_at, until, is_killed=len(nodes) > 1)
    return not out.failed and not out.wrong and not differing


def _report(
    out: Searches,
    watch: Watch,
    total: int,
    differing: int,
    began: float,
    kill_at: float,
    until: float,
    *,
    is_killed: bool,
) -> None:
    group = "OpenSearch, a node lost during syncs" if is_killed else "OpenSearch during syncs"
    before = out.p95(began, kill_at)
    figures = [
        Figure(group, "searches", "answered", len(out.took), "count"),
        Figure(group, "searches", "failed", len(out.failed), "count", target=0),
        Figure(group, "searches", "wrong", len(out.wrong), "count", target=0),
        Figure(group, "searches", "in PostgreSQL", out.in_database, "count"),
        Figure(group, "searches", "otherwise in the last places", out.otherwise, "count"),
        Figure(group, "documents", "there", total, "count"),
        Figure(group, "documents", "lost", differing, "count", target=0),
        Figure(group, "searches", "p95 in the first third", before, "ms"),
        Figure(group, "searches", "p95 in the last third", out.p95(until - (until - began) / 3, until), "ms"),
    ]
    if is_killed:
        back = out.seconds_until(kill_at, until, 1.5 * before)
        figures.append(Figure(group, "searches", "p95 back after", back, "s", target=30.0))
    lags = watch.versions.lags()
    if lags:
        p50, p95, most = (float(value) for value in np.percentile(lags, (50, 95, 100)))
        figures += [
            Figure(group, "changes", "committed", len(lags), "count"),
            Figure(group, "changes", "found after, p50", p50, "s"),
            Figure(group, "changes", "found after, p95", p95, "s", target=None if is_killed else 2.0),
            Figure(group, "changes", "found after, at most", most, "s"),
        ]
    record(*figures)
    print(f"\n{group}\n\n| | | | target |\n|---|---|---|---|")
    for figure in figures:
        shown = f"{figure.value:,.0f}" if figure.unit == "count" else f"{figure.value:,.3g} {figure.unit}"
        target = "" if figure.target is None else f"{figure.target:g}"
        print(f"| {figure.name} | {figure.measure} | {shown} | {target} |")
    for message in list(dict.fromkeys((*out.failed, *out.wrong)))[:10]:
        print(f"- {message}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools and queries")
    parser.add_argument("--nodes", type=int, choices=range(1, len(_PORTS) + 1), default=3, help="of the cluster")
    parser.add_argument("--tools", type=int, default=400, help="how many tools are searched")
    parser.add_argument("--more", type=int, default=200, help="how many change meanwhile")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    given = parser.parse_args()
    with running_nodes(given.nodes) as nodes:
        return 0 if asyncio.run(measure(nodes, given.data, given.tools, given.more, given.seconds)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
