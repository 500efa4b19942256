"""What searches notice of a change of the model over a large catalogue.

    python -m bench.space_switch [--data FOLDER] [--tools 10000] [--searches-at-once 4]

The folder (or $MODELGATE_BENCH_DATA) is that of `bench.search`. The tools are stored with the built-in model's vectors,
and searched with them for a while; then the gateway starts with a model of an embedding server in its settings, and is
searched all the time while the new space is filled and takes over, and a while after that.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.catalogue import TENANT, Filler, read_queries, read_tools
from gateway.access.caller import Caller
from gateway.access.roles import role_by_name
from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.database.embedded import EmbeddedServer
from gateway.errors import ModelGateError
from gateway.search.request import SearchRequest
from gateway.settings import EmbedderSettings, Settings, load_settings
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.waiting import until

_SECONDS = 10.0
"""How long searches are measured before and after the switch."""


@dataclass
class Load:
    """Searches that run all the time, with what they took in milliseconds, and those that failed or found nothing."""

    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0
    empty: int = 0

    async def run(self, components: Components, queries: list[str], at_once: int) -> None:
        role = await role_by_name(components.database, TENANT, "all")
        caller = Caller(TENANT, 0, "bench", (role.id,))
        upcoming = itertools.cycle(queries)

        async def search() -> None:
            while True:
                started = time.perf_counter()
                try:
                    outcome = await components.finder.find(caller, SearchRequest((next(upcoming),), 5))
                    self.empty += not (outcome.tools or outcome.more)
                except ModelGateError:
                    self.failed += 1
                self.milliseconds.append((time.perf_counter() - started) * 1000)
                # Steady, rather than as much as the machine can.
                await asyncio.sleep(0.02)

        await asyncio.gather(*(search() for _ in range(at_once)))

    def line(self, name: str) -> str:
        took = sorted(self.milliseconds)
        p50, p95, p99 = (took[int(len(took) * share)] for share in (0.5, 0.95, 0.99))
        return (
            f"{name:22} {len(took):6} searches  p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f}  "
            f"longest {took[-1]:7.1f} ms  "
            f"{self.failed} failed, {self.empty} empty"
        )


async def measure(folder: Path, size: int, at_once: int) -> None:
    tools, queries = read_tools(folder, size), read_queries(folder)[:500]
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir, EmbeddingServer() as embedder:
        database = EmbeddedServer(Path(data_dir))
        url = await asyncio.to_thread(database.start)
        try:
            builtin = load_settings(
                Path(os.devnull), {"MODELGATE_DATABASE_URL": url, "MODELGATE_EMBEDDER_TYPE": "builtin"}
            )
            remote = replace(builtin, embedder=EmbedderSettings(type="ollama", base_url=embedder.url, standby=False))
            async with open_components(builtin) as components:
                space = await components.spaces.configured_space()
                await Filler(components.database, tools, size).fill(space.id)
                await components.spaces.store.mark_filled(space.id)
            await _switch(remote, builtin, queries, at_once)
        finally:
            await asyncio.to_thread(database.stop)


async def _switch(remote: Settings, before: Settings, queries: list[str], at_once: int) -> None:
    async with open_components(before) as components:
        await _load_for(components, queries, at_once, "before", _SECONDS)
    async with open_components(remote) as components:
        former = await components.spaces.active_space()
        filling = asyncio.create_task(
            VectorFiller(components.database, components.spaces, components.categories, every_seconds=0.5).run()
        )
        during = Load()
        searching = asyncio.create_task(during.run(components, queries, at_once))
        started = time.perf_counter()

        async def has_switched() -> bool:
            return (await components.spaces.active_space()).id != former.id

        await until(has_switched, seconds=3_600)
        switched = time.perf_counter() - started
        # The first searches in the new space build its index.
        await asyncio.sleep(_SECONDS)
        searching.cancel()
        await asyncio.gather(searching, return_exceptions=True)
        print(during.line("filling and switching"), flush=True)
        await _load_for(components, queries, at_once, "after", _SECONDS)
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
    print(f"The switch took {switched:.0f} s.")


async def _load_for(components: Components, queries: list[str], at_once: int, name: str, seconds: float) -> None:
    load = Load()
    searching = asyncio.create_task(load.run(components, queries, at_once))
    await asyncio.sleep(seconds)
    searching.cancel()
    await asyncio.gather(searching, return_exceptions=True)
    print(load.line(name), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools")
    parser.add_argument("--tools", type=int, default=10_000, help="how many tools")
    parser.add_argument("--searches-at-once", type=int, default=4, help="searches that run at the same time")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.data, arguments.tools, arguments.searches_at_once))


if __name__ == "__main__":
    main()
