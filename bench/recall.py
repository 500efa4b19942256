"""How much of the exact order PostgreSQL finds by its nearest-neighbour index.

    python -m bench.recall [--data FOLDER] [--tools 5194] [--queries 200]

The folder (or $MODELGATE_BENCH_DATA) is that of `bench.search`. Of each query the best ten of the index in memory, that
compares every tool, are looked for among the best ten of pgvector with `search.exact_tools = 0`, which so uses HNSW.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.catalogue import TENANT, Filler, read_queries, read_tools
from gateway.access.caller import Caller
from gateway.access.roles import role_by_name
from gateway.components import open_components
from gateway.database.embedded import EmbeddedServer
from gateway.search.request import SearchRequest
from gateway.settings import load_settings

BEST = 10


async def measure(folder: Path, size: int, queries: int) -> None:
    tools, asked = read_tools(folder, size), read_queries(folder)
    asked = asked[:: max(1, len(asked) // queries)][:queries]
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir:
        server = EmbeddedServer(Path(data_dir))
        url = await asyncio.to_thread(server.start)
        try:
            environ = {"MODELGATE_DATABASE_URL": url, "MODELGATE_EMBEDDER_TYPE": "builtin"}
            settings = load_settings(Path(os.devnull), environ)
            search = replace(settings.search, threshold=0.0)
            by_index = {
                "memory": replace(settings, search=replace(search, index="memory")),
                "HNSW": replace(settings, search=replace(search, index="pgvector", exact_tools=0)),
            }
            async with open_components(by_index["memory"]) as components:
                space = await components.spaces.configured_space()
                await components.spaces.active_space()
                await Filler(components.database, tools, size).fill(space.id)
            found = {}
            for name, each in by_index.items():
                async with open_components(each) as components:
                    role = await role_by_name(components.database, TENANT, "all")
                    caller = Caller(TENANT, 0, "bench", (role.id,))
                    found[name] = [
                        [tool.match.tool_id for tool in outcome.tools]
                        for query in asked
                        for outcome in [await components.finder.find(caller, SearchRequest((query,), BEST))]
                    ]
        finally:
            await asyncio.to_thread(server.stop)
    shares = [
        len(set(exact) & set(near)) / len(exact)
        for exact, near in zip(found["memory"], found["HNSW"], strict=True)
        if exact
    ]
    print(
        f"recall@{BEST} of the exact order by HNSW: {statistics.mean(shares):.4f} ({size} tools, {len(shares)} queries)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools and queries")
    parser.add_argument("--tools", type=int, default=5_194, help="how many tools")
    parser.add_argument("--queries", type=int, default=200, help="how many queries")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.data, arguments.tools, arguments.queries))


if __name__ == "__main__":
    main()
