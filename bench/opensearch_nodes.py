"""A gateway whose searches run in OpenSearch, during a sync, while a node of the cluster is killed.

    python -m bench.opensearch_nodes [--data FOLDER] [--nodes 3] [--tools 2000] [--more 3000] [--seconds 90]

The folder is that of `bench.search`. A gateway runs as a user runs it, beside an embedded PostgreSQL, on a cluster of
so many nodes. It is searched over HTTP, four at once, by a key that finds the first `tools`; meanwhile `more` are
brought in from real upstream servers over stdio. After a third of the time the node that manages the cluster is killed,
with its disk, and is not started again; of a single node none is. Said in the end:

- searches that failed, that were answered by PostgreSQL in the cluster's place, and that are wrong: the sync changes
  nothing of what that key finds, so that the best is there as before, and no tool that it does not find;
- documents that differ from the catalogue once the feed has caught up;
- for how long the cluster lacked what the catalogue had: tools, and vectors;
- p95 before the kill, and after how many seconds that of any five of them stayed within half as much again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from gateway.search.index.opensearch.feed.reconciler import Reconciler
from gateway.search.index.opensearch.feed.tenant_feed import TenantFeed
from gateway.search.index.opensearch.index_store import IndexStore, serving_index
from gateway.search.index.opensearch.mapping import space_alias
from gateway.settings import OpenSearchSettings, load_settings
from tests.opensearch.node import Node, running_node

_AT_ONCE = 4
_QUERIES = 60
_PREFIX = "bench-nodes"
_PORTS = (29_301, 29_302, 29_303, 29_304, 29_305)
_READY_SECONDS = 600.0
_LOOK_SECONDS = 0.25
_WINDOW_SECONDS = 5.0


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
class Growth:
    """How many of something there were at which moment, in the catalogue and in what searches of the cluster find."""

    catalogue: list[tuple[float, int]] = field(default_factory=list)
    cluster: list[tuple[float, int]] = field(default_factory=list)

    def lags(self) -> list[float]:
        """For each number that the catalogue came to, in seconds, how much later the cluster had as many."""
        counts = np.maximum.accumulate([count for _, count in self.cluster]).tolist() if self.cluster else []
        lags, before = [], None
        for moment, count in self.catalogue:
            if before is not None and count > before:
                place = bisect_left(counts, count)
                if place < len(counts):
                    lags.append(max(0.0, self.cluster[place][0] - moment))
            before = count
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
            yield list(threads.map(one, range(count)))


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
    """Looks at both sides until it is cancelled."""

    def __init__(self, database: Database, client: OpenSearchClient, space: StoredSpace, tenant: str) -> None:
        self._database = database
        self._client = client
        self._space = space
        self._tenant = {"term": {"tenant": tenant}}
        self.tools, self.vectors = Growth(), Growth()

    async def run(self) -> None:
        await asyncio.gather(self._look_at_catalogue(), self._look_at_cluster())

    async def _look_at_catalogue(self) -> None:
        while True:
            tools = await self._database.fetchval("feed_documents", TENANT)
            vectors = await self._database.fetchval("count_ranking_vectors", TENANT, space=self._space.id)
            now = time.monotonic()
            self.tools.catalogue.append((now, tools))
            self.vectors.catalogue.append((now, vectors))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look_at_cluster(self) -> None:
        alias = space_alias(self._client.settings, self._space.id)
        counted = {"size": 0, "track_total_hits": True}
        bodies = [
            {**counted, "query": {"bool": {"filter": [self._tenant]}}},
            {**counted, "query": {"bool": {"filter": [self._tenant, {"exists": {"field": "vector"}}]}}},
        ]
        while True:
            try:
                tools, vectors = await self._client.search_each(alias, bodies, routing=str(TENANT))
            except OpenSearchError:
                # Whoever searches meanwhile is answered by PostgreSQL.
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            now = time.monotonic()
            self.tools.cluster.append((now, tools["hits"]["total"]["value"]))
            self.vectors.cluster.append((now, vectors["hits"]["total"]["value"]))
            await asyncio.sleep(_LOOK_SECONDS)


async def _names(client: OpenSearchClient, space: StoredSpace) -> frozenset[str]:
    """Of all tools that are there."""
    body = {"size": 10_000, "query": {"exists": {"field": "tool"}}, "_source": ["name"]}
    (answer,) = await client.search_each(space_alias(client.settings, space.id), [body], routing=str(TENANT))
    return frozenset(hit["_source"]["name"] for hit in answer["hits"]["hits"])


async def _until_filled(gateway: Gateway, tools: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        status = json.loads(await gateway.command("index", "status", "--json") or "{}")
        for index in status.get("indexes", ()):
            if index["state"] == "serving" and index["documents"] == tools and not index["changes_behind"]:
                return
        await asyncio.sleep(0.5)
    raise RuntimeError(f"The cluster did not have {tools} tools within {_READY_SECONDS:g} s.")


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
                filler = Filler(database, tools, count)
                await filler.add_role("first", await filler.fill(space.id))
                key = (await gateway.command("keys", "create", "--role", "first")).strip()
                await _until_filled(gateway, count)
                visible = await _names(client, space)
                await client.request(
                    "GET", "/_cluster/health", params={"wait_for_status": "green", "timeout": "60s"}, seconds=70
                )
                requests = searches(key, queries[:: max(1, len(queries) // _QUERIES)][:_QUERIES])
                expected = [_found(json.loads(body)) for body in await answer(gateway, requests)]
                asked = [
                    (request, [tool["name"] for tool in found["tools"]])
                    for request, found in zip(requests, expected, strict=True)
                ]
                out = Searches()
                await gateway.command("servers", "import", str(client_configuration(every[count:], Path(data_dir))))
                watch = Watch(database, client, space, tenant_key(await database.fetchval("installation_id"), TENANT))
                watching = asyncio.create_task(watch.run())
                killed = await managing(client, nodes)
                began = time.monotonic()
                until, kill_at = began + seconds, began + seconds / 3
                searching = [asyncio.create_task(search(gateway, asked, visible, until, out)) for _ in range(_AT_ONCE)]
                syncing = asyncio.create_task(gateway.command("sync"))
                await asyncio.sleep(kill_at - time.monotonic())
                if len(nodes) > 1:
                    await asyncio.to_thread(killed.kill)
                await asyncio.gather(*searching)
                print((await syncing).strip().rpartition("\n")[2])
                total = int(await database.fetchval("feed_documents", TENANT))
                await _until_embedded(database, space, total)
                await _until_filled(gateway, total)
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
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
    print(
        f"\n{len(out.took):,} searches, {len(out.failed)} failed, {out.in_database} answered by PostgreSQL, "
        f"{len(out.wrong)} wrong, {out.otherwise} not the same to the last tool."
    )
    print(f"{total:,} tools, {differing} of them not as in the catalogue.")
    group = "OpenSearch, a node lost during a sync" if is_killed else "OpenSearch during a sync"
    for what, growth in (("tools", watch.tools), ("vectors", watch.vectors)):
        lags = growth.lags()
        if lags:
            p95, most = float(np.percentile(lags, 95)), max(lags)
            print(f"Lag of {what}: p50 {np.median(lags):.1f} s, p95 {p95:.1f} s, at most {most:.1f} s.")
            record(Figure(group, f"lag of {what}", "p95", p95, "s", target=None if is_killed else 2.0))
    before = out.p95(began, kill_at)
    print(f"p95 {before:.0f} ms in the first third, {out.p95(until - (until - began) / 3, until):.0f} ms in the last.")
    if is_killed:
        back = out.seconds_until(kill_at, until, 1.5 * before)
        print(f"p95 was back {back:.0f} s after the kill.")
        record(Figure(group, "searches", "p95 back", back, "s", target=30.0))
    record(
        Figure(group, "searches", "failed", len(out.failed), "count", target=0),
        Figure(group, "searches", "wrong", len(out.wrong), "count", target=0),
        Figure(group, "searches", "in PostgreSQL", out.in_database, "count"),
        Figure(group, "documents", "lost", differing, "count", target=0),
    )
    for message in list(dict.fromkeys((*out.failed, *out.wrong)))[:10]:
        print(f"- {message}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools and queries")
    parser.add_argument("--nodes", type=int, choices=range(1, len(_PORTS) + 1), default=3, help="of the cluster")
    parser.add_argument("--tools", type=int, default=2_000, help="how many tools are searched")
    parser.add_argument("--more", type=int, default=3_000, help="how many are brought in meanwhile")
    parser.add_argument("--seconds", type=float, default=90.0, help="how long")
    given = parser.parse_args()
    with running_nodes(given.nodes) as nodes:
        return 0 if asyncio.run(measure(nodes, given.data, given.tools, given.more, given.seconds)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
