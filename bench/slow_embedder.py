"""How long a sync of real tools takes against an embedding server at a CPU's speed, and what searches wait meanwhile.

    python -m bench.slow_embedder [--data FOLDER] [--tools 1112] [--tokens-a-second 1300]

The folder (or $MODELGATE_BENCH_DATA) is that of `bench.search`. The server is a double of Ollama with one runner: it
works on one request at a time, for as long as its tokens take. What it needs itself is what its texts take end to end;
beside it stands when a third, all combined texts and all vectors were there. Each second a query that no cache knows
is searched.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.catalogue import TENANT, read_queries, read_tools
from gateway.access.caller import Caller
from gateway.access.roles import role_by_name
from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.database.embedded import EmbeddedServer
from gateway.embedding.text_length import estimate_tokens
from gateway.search.request import SearchRequest
from gateway.settings import EmbedderSettings, load_settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import add_listed
from tests.support.rows import value

_SYNC_SECONDS = 5.0
"""As a gateway gives to a sync before it leaves the rest to the background."""


@dataclass
class Searches:
    """What searches took, in milliseconds, and how many were answered by what."""

    milliseconds: list[float] = field(default_factory=list)
    by_standby: int = 0
    by_words: int = 0

    async def run(self, components: Components, queries: list[str]) -> None:
        role = await role_by_name(components.database, TENANT, "all")
        caller = Caller(TENANT, 0, "bench", (role.id,))
        for query in queries:
            started = time.perf_counter()
            outcome = await components.finder.find(caller, SearchRequest((query,), 5))
            self.milliseconds.append((time.perf_counter() - started) * 1000)
            self.by_standby += outcome.notice.startswith("The built-in model")
            self.by_words += outcome.notice.startswith("Semantic search")
            await asyncio.sleep(1)


async def measure(folder: Path, size: int, tokens_a_second: float) -> None:
    tools = [
        {"name": f"{tool['name'][:60]}_{place}", "description": tool["description"], "inputSchema": tool["inputSchema"]}
        for place, tool in enumerate(read_tools(folder, size))
    ]
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir, EmbeddingServer() as embedder:
        database = EmbeddedServer(Path(data_dir))
        url = await asyncio.to_thread(database.start)
        try:
            embedder.tokens_a_second = tokens_a_second
            settings = load_settings(Path(os.devnull), {"MODELGATE_DATABASE_URL": url})
            settings = replace(settings, embedder=EmbedderSettings(type="ollama", base_url=embedder.url))
            async with open_components(settings, embed_seconds=_SYNC_SECONDS) as components:
                await _run(components, tools, read_queries(folder), embedder, Path(data_dir))
        finally:
            await asyncio.to_thread(database.stop)


async def _run(
    components: Components, tools: list[dict[str, object]], queries: list[str], embedder: EmbeddingServer, folder: Path
) -> None:
    await components.spaces.configured_space()
    searches = Searches()
    started = time.perf_counter()
    await add_listed(components, folder, *tools, name="Tools")
    synced = time.perf_counter() - started
    filling = asyncio.create_task(VectorFiller(components.database, components.spaces, components.categories).run())
    searching = asyncio.create_task(searches.run(components, queries))
    reached: dict[str, float] = {}
    counted = {
        "a third found by meaning": ("combined_embedding IS NOT NULL", len(tools) // 3),
        "all found by meaning": ("combined_embedding IS NOT NULL", len(tools)),
        "all vectors": ("is_complete", len(tools)),
    }
    while len(reached) < len(counted):
        for name, (condition, wanted) in counted.items():
            there = await value(
                components.database.url,
                "SELECT count(*) FROM tool_embeddings e JOIN embedding_spaces p ON p.id = e.space_id AND p.active "
                f"WHERE {condition}",
            )
            if there >= wanted:
                reached.setdefault(name, time.perf_counter() - started)
        await asyncio.sleep(0.25)
    for task in (filling, searching):
        task.cancel()
    await asyncio.gather(filling, searching, return_exceptions=True)
    texts = {text for text in embedder.texts if text.startswith("search_document: ")}
    needed = sum(map(estimate_tokens, texts)) / embedder.tokens_a_second
    print(f"{len(tools)} tools, {len(texts)} different texts; the server needs {needed:.0f} s for them.")
    print(f"{'synced, found by words':26} {synced:6.0f} s")
    for name, seconds in reached.items():
        print(f"{name:26} {seconds:6.0f} s  {seconds / needed:5.2f} times what the server needs")
    took = sorted(searches.milliseconds)
    p95 = took[int(len(took) * 0.95)]
    print(
        f"{len(took)} searches meanwhile: p50 {statistics.median(took):.0f} ms, p95 {p95:.0f} ms; "
        f"{searches.by_standby} by the standby, {searches.by_words} by words alone."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools")
    parser.add_argument("--tools", type=int, default=1112, help="how many of its tools")
    parser.add_argument("--tokens-a-second", type=float, default=1300, help="what the server's one runner reads")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.data, arguments.tools, arguments.tokens_a_second))


if __name__ == "__main__":
    main()
