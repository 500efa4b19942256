"""`modelgate bench`: how fast the parts are that the gateway runs on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from gateway.cli.output import print_table, printable
from gateway.cli.runner import POOL_SIZE, load_command_settings, run_async

if TYPE_CHECKING:
    from gateway.embedding.benchmark.embedder_benchmark import Benchmark


@click.group()
def bench() -> None:
    """Measure what the gateway runs on."""


@bench.command("embedder")
@click.option("--queries", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Asked one by one.")
@click.option("--texts", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Embedded as in a sync.")
@click.option("--json", "as_json", is_flag=True, help="Print all that was measured as JSON.")
@click.pass_context
def bench_embedder(context: click.Context, queries: int, texts: int, *, as_json: bool) -> None:
    """Measure the embedder of the settings: speed, cache, and whether like texts are alike.

    Each part ends after some 30 s at the latest. What misses a target is no error.
    """
    measured = run_async(lambda: _measure(context, queries, texts))
    goals = _goals(measured)
    if as_json:
        report = dataclasses.asdict(measured) | {"targets": [dataclasses.asdict(goal) for goal in goals]}
        click.echo(json.dumps(report, indent=2))
        return
    _print_report(measured, goals)


@dataclass(frozen=True, slots=True)
class _Goal:
    """A measure beside what people ask of it, both in words."""

    measure: str
    value: str
    target: str
    met: bool


async def _measure(context: click.Context, queries: int, texts: int) -> Benchmark:
    from gateway.database.pool import open_database
    from gateway.embedding.benchmark.embedder_benchmark import EmbedderBenchmark
    from gateway.embedding.cache import QueryCache
    from gateway.embedding.embedder_factory import choose_embedder
    from gateway.embedding.spaces.space_store import SpaceStore

    settings = load_command_settings(context)
    async with open_database(settings, size=POOL_SIZE) as database:
        records = await SpaceStore(database).records()
        serving = next((record.stored.space for record in records if record.active), None)
        embedder = await choose_embedder(settings.embedder, serving)
        try:
            stored = [record.stored for record in records]
            cache = QueryCache(database, settings.embedder.cache_ttl_seconds)
            return await EmbedderBenchmark(embedder, cache, stored).run(queries, texts)
        finally:
            await embedder.aclose()


def _goals(measured: Benchmark) -> list[_Goal]:
    queries, rate, cache, alike = measured.queries, measured.throughput, measured.cache, measured.similarity
    return [
        _Goal("a query, p95", f"{queries.p95_ms:.1f} ms", "< 50 ms", queries.p95_ms < 50),
        _Goal("texts a second", f"{rate.texts_per_second:.0f}", "> 100", rate.texts_per_second > 100),
        _Goal("cache hits, each text 4 times", f"{cache.hit_rate:.0%}", "> 40%", cache.hit_rate > 0.4),
        _Goal("least cosine of like texts", f"{alike.like_least:.2f}", "> 0.7", alike.like_least > 0.7),
        _Goal("largest cosine of unlike texts", f"{alike.unlike_most:.2f}", "< 0.3", alike.unlike_most < 0.3),
    ]


def _print_report(measured: Benchmark, goals: Sequence[_Goal]) -> None:
    space, queries, rate = measured.space, measured.queries, measured.throughput
    cache, alike = measured.cache, measured.similarity
    click.echo(f"{space.provider} with {printable(space.model)}, {space.dimensions} dimensions")
    click.echo()
    print_table(
        ["MEASURE", "VALUE", "TARGET", ""],
        [[goal.measure, goal.value, goal.target, "met" if goal.met else "missed"] for goal in goals],
    )
    click.echo()
    print_table(
        ["ALSO MEASURED", "VALUE"],
        [
            ["first vector, the model loaded for it", f"{measured.first_ms:.1f} ms"],
            [f"a query, mean of {queries.count}", f"{queries.mean_ms:.1f} ms"],
            ["a query, p50 and p99", f"{queries.p50_ms:.1f} and {queries.p99_ms:.1f} ms"],
            ["tokens a second, estimated", f"{rate.tokens_per_second:.0f}"],
            ["a query from the cache, and not", f"{cache.hit_ms:.2f} and {cache.miss_ms:.2f} ms"],
            ["mean cosine of like and of unlike texts", f"{alike.like_mean:.2f} and {alike.unlike_mean:.2f}"],
        ],
    )
    click.echo()
    print_table(
        ["TEXTS AT ONCE", "EMBEDDED", "SECONDS", "TEXTS/S", "TOKENS/S"],
        [
            [
                str(each.batch),
                str(each.embedded),
                f"{each.seconds:.2f}",
                f"{each.texts_per_second:.0f}",
                f"{each.tokens_per_second:.0f}",
            ]
            for each in (*measured.batches, rate)
        ],
    )
