"""What metrics and traces cost a search: its CPU time with them, beside that without.

    python -m bench.observability [--seconds 2] [--rounds 8]

Two gateways on one database, one of them with traces at a sampling of 1% (and a collector that takes what comes), are
loaded in turn, so that other work on the machine meets both. What metrics cost is what the instruments take that a
search touches, for there is no gateway without them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.catalogue import read_queries
from bench.figures import Figure, record
from bench.scale import Bench, fill, place
from bench.search import CONNECTIONS, Gateway, searches
from gateway.telemetry.metrics import Metrics
from tests.support.serving import serving

_TIMES = 5_000
_ROUNDS = 20
_TOOLS = 650
_GROUP = "What metrics and traces cost"


async def _take(request: Request) -> Response:
    await request.body()
    return Response(b"", media_type="application/x-protobuf")


def microseconds_of_instruments() -> float:
    """What a search has counted and timed: the request, the search, the query's vector, two waits for the database."""
    metrics = Metrics()
    return min(_microseconds(metrics) for _ in range(_ROUNDS))


def _microseconds(metrics: Metrics) -> float:
    # Of the processor, and the least of several: other work on the machine only ever adds.
    started = time.process_time()
    for _ in range(_TIMES):
        metrics.observe_request(200, 0.001)
        metrics.observe_search("ok", 4, 0.001)
        metrics.observe_embedding("query", "ok", 0.0001)
        metrics.observe_database_wait("ok", 0.0001)
        metrics.observe_database_wait("ok", 0.0001)
    return (time.process_time() - started) / _TIMES * 1e6


async def measure(bench: Bench, rounds: int) -> None:
    queries = read_queries(bench.data)[:200]
    collector = Starlette(routes=[Route("/v1/traces", _take, methods=["POST"])])
    async with place() as at, serving(collector) as address:
        traced = {"MODELGATE_TRACING_ENDPOINT": address, "MODELGATE_TRACING_SAMPLE_RATIO": "0.01"}
        async with Gateway(at.folder, at.url) as plain, Gateway(at.folder, at.url, **traced) as tracing:
            requests = searches(await fill(at, plain, bench, _TOOLS), queries)
            cpu: dict[int, list[float]] = {plain.port: [], tracing.port: []}
            for gateway in (plain, tracing):
                await gateway.load(requests, 1, 60.0, once=True)
            for _ in range(rounds):
                for gateway in (plain, tracing):
                    cpu[gateway.port].append((await gateway.load(requests, CONNECTIONS, bench.seconds)).cpu)
            # Other work on the machine only ever adds: the least is what it takes.
            without, with_traces = (min(cpu[gateway.port]) for gateway in (plain, tracing))
    traces = (with_traces / without - 1) * 100
    metrics = microseconds_of_instruments() / (without * 1000) * 100
    print(
        f"A search takes {without:.3f} ms of CPU; with traces at 1% {with_traces:.3f} ms ({traces:+.1f}%), "
        f"of which metrics are {metrics:.1f}%"
    )
    record(
        Figure(_GROUP, "metrics", "of the CPU of a search", metrics, "%", target=3.0),
        Figure(_GROUP, "traces at 1%", "of the CPU of a search", traces, "%", target=3.0),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools and queries")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each load lasts")
    parser.add_argument("--rounds", type=int, default=8, help="loads of each gateway")
    given = parser.parse_args()
    asyncio.run(measure(Bench(given.data, given.seconds, 1.0), given.rounds))


if __name__ == "__main__":
    main()
