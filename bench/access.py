"""What role checks cost a search, and what a change of rules takes.

    python -m bench.access [--tools 10000] [--roles 50] [--rules 200]

On an embedded PostgreSQL of its own: made-up tools with vectors of 256 dimensions, and roles with rules of every kind.
A search is what the index in memory measures of the tools that the roles see, and of all tools, each time with other
words and another vector. The table gives medians in milliseconds that PostgreSQL, or for searches this process, worked
for it, which other load on the machine does not lengthen, or where the system does not tell that, that passed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.asyncpg import register_vector

from gateway.access.roles import VISIBILITIES
from gateway.catalog.category import CATEGORIES
from gateway.database.embedded import EmbeddedServer
from gateway.database.migrate import migrate
from gateway.database.queries import statement
from gateway.search.index.tenant_index import IndexedTool, TenantIndex
from gateway.search.query.parsed_query import ParsedQuery
from gateway.search.visible_tools import VisibleTools

DIMENSIONS = 256
SERVERS = 100
WORDS = [f"word{number}" for number in range(2_000)]
SEARCHES = 200


class Bench:
    """A catalogue, and searches in it."""

    def __init__(self, connection: asyncpg.Connection[Any], seed: int = 7) -> None:
        self._connection = connection
        self._random = random.Random(seed)
        self._vectors = np.random.default_rng(seed)
        self._space = 0
        self.servers: list[int] = []
        self.roles: list[int] = []
        self._index = TenantIndex(DIMENSIONS)

    async def fill(self, tools: int, roles: int, rules: int) -> None:
        """Store tools, roles and rules."""
        connection = self._connection
        for number in range(SERVERS):
            self.servers.append(
                await connection.fetchval(
                    "INSERT INTO servers (tenant_id, name, slug, transport, url) VALUES (1, $1, $1, 'http', 'http://x')"
                    " RETURNING id",
                    f"server{number}",
                )
            )
        definition = json.dumps({"name": "x", "inputSchema": {"type": "object"}})
        await connection.executemany(
            "INSERT INTO tools (tenant_id, server_id, name, exposed_name, category, definition, content_hash) "
            "VALUES (1, $1, $2, $3, $4, $5, '')",
            [
                (self.servers[n % SERVERS], f"{self._verb()}_{n}", f"server{n % SERVERS}__{self._verb()}_{n}",
                 CATEGORIES[n % len(CATEGORIES)], definition)
                for n in range(tools)
            ],
        )  # fmt: skip
        ids = [row[0] for row in await connection.fetch("SELECT id FROM tools ORDER BY id")]
        terms = [Counter(self._random.choices(WORDS, k=30)) for _ in ids]
        self._space = await connection.fetchval(
            statement("register_space"), "bench", "p", "m", DIMENSIONS, "", "", None, "b"
        )
        vectors = [self._vector() for _ in ids]
        self._index.upsert(
            [
                IndexedTool(id_, place, place % SERVERS, "other", f"tool_{id_}", f"tool_{id_}", counts, 30, vector, 500)
                for place, (id_, counts, vector) in enumerate(zip(ids, terms, vectors, strict=True))
            ]
        )
        await connection.executemany(
            statement("upsert_embedding"),
            [
                (1, id_, self._space, b"", *[HalfVector(vector)] * 3, "{}", [], True)
                for id_, vector in zip(ids, vectors, strict=True)
            ],
        )
        await connection.execute(statement("create_space_index", space=self._space, dimensions=DIMENSIONS))
        await self._fill_roles(ids, roles, rules)
        await connection.execute("ANALYZE")

    async def _fill_roles(self, ids: list[int], roles: int, rules: int) -> None:
        for number in range(roles):
            default = VISIBILITIES[number % len(VISIBILITIES)]
            self.roles.append(
                await self._connection.fetchval(statement("insert_role"), 1, f"role{number}", "", default, None)
            )
        targets: list[tuple[Any, ...]] = [(None, None, server, None) for server in self.servers]
        targets += [(None, None, None, category) for category in CATEGORIES]
        targets += [(tool, None, None, None) for tool in self._random.sample(ids, min(len(ids), rules))]
        targets += [(None, f"*_{self._random.randrange(10**4)}", None, None) for _ in range(rules)]
        targets += [(None, f"server{n}__{verb}*", None, None) for n in range(SERVERS) for verb in ("get", "delete")]
        targets = list(dict.fromkeys(targets))
        await self._connection.executemany(
            statement("upsert_rule"),
            [
                (1, role, *target, self._random.choice(VISIBILITIES))
                for role in self.roles
                for target in self._random.sample(targets, min(len(targets), rules))
            ],
        )

    async def refresh(self, role: int | None, server: int | None) -> float:
        """Resolve rules anew; milliseconds."""
        return await self._timed(self._connection.execute, statement("refresh_role_tools"), 1, role, server)

    async def visible_tools(self, roles: list[int]) -> tuple[VisibleTools, float]:
        """What roles can find, and the milliseconds that finding it out takes, once for each version."""
        took = await self._timed(self._connection.fetchrow, statement("visible_tool_positions"), 1, roles)
        row = await self._connection.fetchrow(statement("visible_tool_positions"), 1, roles)
        assert row is not None
        return VisibleTools.of(row["positions"]), took

    def searches(self, visible: VisibleTools) -> tuple[float, float]:
        """Median milliseconds of a search of what is visible, and of all tools."""
        bits = np.unpackbits(np.frombuffer(visible.bitmap, np.uint8), bitorder="little").view(np.bool_)
        everything = np.ones(len(bits), np.bool_)
        with_check: list[float] = []
        without: list[float] = []
        for _ in range(SEARCHES):
            query = ParsedQuery(tuple(self._random.choices(WORDS, k=5)), self._vector())
            for seen, times in ((bits, with_check), (everything, without)):
                begun = time.process_time()
                self._index.signals(seen, [query])
                times.append((time.process_time() - begun) * 1000)
        return statistics.median(with_check), statistics.median(without)

    async def shown(self, roles: list[int], ids: list[int]) -> float:
        """Median milliseconds of the statement that shows results, in which each is checked once more."""
        return statistics.median(
            [
                await self._timed(self._connection.fetch, statement("result_tools"), 1, roles, ids)
                for _ in range(SEARCHES)
            ]
        )

    async def _timed(self, run: Callable[..., Awaitable[Any]], *arguments: Any) -> float:
        begun = self._clock()
        await run(*arguments)
        return (self._clock() - begun) / 1e6

    def _clock(self) -> int:
        """Nanoseconds that the connection's PostgreSQL process has run, or that passed."""
        try:
            return int(Path(f"/proc/{self._connection.get_server_pid()}/schedstat").read_text().split()[0])
        except OSError:
            return time.perf_counter_ns()

    def _verb(self) -> str:
        return self._random.choice(["get", "list", "create", "update", "delete"])

    def _vector(self) -> NDArray[np.float32]:
        vector = self._vectors.normal(size=DIMENSIONS).astype(np.float32)
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit


async def measure(url: str, tools: int, roles: int, rules: int) -> None:
    """Fill the database at `url` and print both tables."""
    settings = {"jit": "off", "hnsw.iterative_scan": "strict_order"}
    connection = await asyncpg.connect(url)
    await migrate(connection)
    await connection.close()
    connection = await asyncpg.connect(url, server_settings=settings)
    await register_vector(connection)
    bench = Bench(connection)
    await bench.fill(tools, roles, rules)
    print(f"{tools} tools of {SERVERS} servers, {roles} roles, {rules} rules a role\n")
    print("resolving rules                     ms")
    every = [await bench.refresh(role, None) for role in bench.roles]
    print(f"all tools for one role    {statistics.median(every):12.0f}")
    one = [await bench.refresh(None, server) for server in bench.servers[:10]]
    print(f"one server for all roles  {statistics.median(one):12.0f}")
    await connection.execute("ANALYZE")
    print("\nroles of the key   finds   with the check   without   difference    visible, once   shown results   (ms)")
    chosen = [bench.roles[:1], bench.roles[1:2], bench.roles[:3], bench.roles[1:4], bench.roles[:10], bench.roles]
    for each in chosen:
        visible, once = await bench.visible_tools(each)
        if not visible.count:
            continue
        checked, free = bench.searches(visible)
        rows = await connection.fetch("SELECT tool_id FROM visible_tools(1, $1) LIMIT 5", each)
        shown = await bench.shown(each, [row["tool_id"] for row in rows])
        print(
            f"{len(each):16} {visible.count:7} {checked:16.2f} {free:9.2f} {checked - free:+12.2f} {once:16.1f} "
            f"{shown:15.2f}"
        )
    await connection.close()


def main() -> None:
    """Measure on a server of its own, which is gone afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=int, default=10_000)
    parser.add_argument("--roles", type=int, default=50)
    parser.add_argument("--rules", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as folder:
        server = EmbeddedServer(Path(folder))
        url = server.start()
        try:
            asyncio.run(measure(url, options.tools, options.roles, options.rules))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
