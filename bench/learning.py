"""What examples gain, and what they cost the tools that have none.

    python -m bench.learning [--data FOLDER] [--set metatool] [--divisions 4]
    python -m bench.learning --http [--queries 1500]
    python -m bench.learning --pairs 100000

A half of the queries of a labelled set are remembered for the tools that they are for, of a half of the tools, and the
other half is searched for: nDCG@10 of those whose tool has examples, and of all others. Of `wrong` of the remembered
another tool of the best five was called. The first form goes through the index in memory, the ranking and
`learn_vector`, for several numbers of examples and of the two constants. The second goes through a gateway process
over HTTP: what is remembered is searched for and the tool that is meant is called, where the answer names it. It says
as well what a search takes before and after. The third counts so many pairs of searches and calls, as a day may bring,
by 200 accounts for 500 tools, and says how many a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from bench.catalogue import Filler, Tool, read_queries, read_tools
from bench.retrieval import WEIGHTS, baselines, ndcg
from bench.search import Gateway, answer, request, searches
from bench.sets.builtin import builtin
from bench.sets.labelled import LabelledSet, load_set
from bench.sync import client_configuration
from gateway.components import open_components
from gateway.database.embedded import EmbeddedServer
from gateway.search.learning import learnt_vector
from gateway.search.learning.background import background_requests
from gateway.search.learning.learnt_vector import WeightedExample, learn_vector
from gateway.search.learning.usage.pair_store import QueryToolPair
from gateway.search.ranking import CosineBaseline, Floats, Signals, rank
from gateway.settings import load_settings

SETS = ("metatool", "livemcpbench-steps", "livemcpbench-tasks")

CAPS = ((0, 0.0), (1, 0.0), (4, 0.0), (50, 0.0), (4, 0.2), (4, 0.5))
"""How many examples a tool has at most, and the share of them that were meant for another."""

CONSTANTS = ((1.0, 0.9), (0.5, 0.9), (2.0, 0.9), (1.0, 0.0), (1.0, 0.5), (1.0, 1.2))
"""After how many examples a tool has moved half of the way, and how much of its gain is taken from it."""

_CALLERS = 4
_PAIR_TOOLS, _PAIR_ACCOUNTS, _PAIRS_AT_ONCE = 500, 200, 10_000


@dataclass(frozen=True)
class Division:
    """A half of the queries, those that are remembered, and a half of the tools, those that remember."""

    remembered: Sequence[int]
    searched: Sequence[int]
    tools: frozenset[int]

    @classmethod
    def of(cls, labelled: LabelledSet, seed: int) -> Division:
        random = np.random.default_rng(seed)
        order = random.permutation(len(labelled.queries)).tolist()
        half = len(order) // 2
        meant = sorted({tool for right in labelled.right for tool in right})
        chosen = random.permutation(meant)[: len(meant) // 2].tolist()
        return cls(order[:half], order[half:], frozenset(chosen))


@dataclass(frozen=True)
class Measured:
    """A set with what is measured of each of its queries before anything is learnt."""

    labelled: LabelledSet
    base: Floats
    signals: list[Signals]
    baseline: CosineBaseline
    background: Floats

    @classmethod
    def of(cls, path: Path) -> Measured:
        embedding = builtin()
        labelled = load_set(path, path.stem, embedding, WEIGHTS)
        catalogue = labelled.catalogue
        signals = [catalogue.signals(query, own) for query, own in zip(labelled.queries, labelled.vectors, strict=True)]
        base = catalogue.index.sample(len(catalogue.tools))
        return cls(labelled, base, signals, baselines(catalogue), embedding.of_queries(background_requests()))


def gains(measured: Measured, division: Division, most: int, wrong: float, seed: int) -> tuple[float, float]:
    """nDCG@10 of queries whose tools have examples, and of all others."""
    labelled, random = measured.labelled, np.random.default_rng(seed)
    said: dict[int, list[WeightedExample]] = {}
    for query in division.remembered:
        for tool in labelled.right[query] & division.tools:
            called = tool
            if wrong and random.random() < wrong:
                best = rank(measured.signals[query], measured.baseline).order[:5].tolist()
                near = [other for other in best if other not in labelled.right[query]]
                called = int(random.choice(near)) if near else tool
            said.setdefault(called, []).append(WeightedExample(labelled.vectors[query][0], 1.0))
    learnt = {
        tool: made
        for tool, examples in said.items()
        if examples[:most] and (made := learn_vector(measured.base[tool], examples[:most], measured.background))
    }
    having: list[float] = []
    others: list[float] = []
    for query in division.searched:
        signals = measured.signals[query]
        assert signals.cosines is not None
        cosines = signals.cosines.copy()
        asked = np.stack(labelled.vectors[query])
        for tool, made in learnt.items():
            cosines[:, tool] = asked @ made.vector - made.correction
        known = Signals(signals.tool_ids, signals.servers, cosines, signals.lexical, signals.max_lexical)
        order = rank(known, measured.baseline).order[:10].tolist()
        right = labelled.right[query]
        (having if right & division.tools else others).append(ndcg(order, right))
    return float(np.mean(having)), float(np.mean(others))


def print_table(measured: Measured, divisions: int) -> None:
    """By number of examples and share of wrong ones, then by the two constants; each difference with the standard error
    of its mean over the divisions.
    """
    labelled = measured.labelled
    halves = [Division.of(labelled, seed) for seed in range(divisions)]

    def means(most: int, wrong: float) -> Floats:
        return np.array([gains(measured, half, most, wrong, seed) for seed, half in enumerate(halves)], np.float32)

    none = means(0, 0.0)
    others = [
        sum(not labelled.right[query] & half.tools for query in half.searched) / len(half.searched) for half in halves
    ]
    print(f"\n## {labelled.name}: {len(labelled.queries)} queries, {len(labelled.catalogue.tools)} tools")
    print(f"Of those that are searched for, {float(np.mean(others)):.0%} are for tools without examples.\n")
    print("| examples a tool | wrong | tools with examples | tools without |\n|---|---|---|---|")
    for most, wrong in CAPS:
        found = means(most, wrong)
        cells = [f"{mean:.3f} ({gain})" for mean, gain in zip(found.mean(axis=0), _gains(found - none), strict=True)]
        print(f"| {most or 'none'} | {wrong:.0%} | {' | '.join(cells)} |", flush=True)
    print("\n| half moved by | β | up to four: tools with examples | tools without |\n|---|---|---|---|")
    kept = learnt_vector.HALF_MOVED, learnt_vector.CORRECTION
    for half_moved, correction in CONSTANTS:
        learnt_vector.HALF_MOVED, learnt_vector.CORRECTION = half_moved, correction
        print(f"| {half_moved} | {correction} | {' | '.join(_gains(means(4, 0.0) - none))} |", flush=True)
    learnt_vector.HALF_MOVED, learnt_vector.CORRECTION = kept


def _gains(differences: Floats) -> list[str]:
    """The mean of each column, shape (divisions, columns), with its standard error."""
    errors = differences.std(axis=0) / np.sqrt(len(differences))
    return [f"{mean:+.3f} ±{error:.3f}" for mean, error in zip(differences.mean(axis=0), errors, strict=True)]


async def over_http(path: Path, most: int) -> None:
    """The same through a gateway process, with whatever its answers name."""
    content = json.loads(path.read_text(encoding="utf-8"))
    tools: list[Tool] = [{**tool, "server": tool["server"] or "Tools"} for tool in content["tools"]]
    queries = content["queries"][:most]
    random = np.random.default_rng(0)
    order = random.permutation(len(queries)).tolist()
    remembered, searched = order[: len(order) // 2], order[len(order) // 2 :]
    meant = sorted({tool for query in queries for tool in query["relevant"]})
    having = set(random.permutation(meant)[: len(meant) // 2].tolist())
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir:
        database_server = EmbeddedServer(Path(data_dir))
        url = await asyncio.to_thread(database_server.start)
        learn = {"MODELGATE_LEARN_FROM_USE": "on", "MODELGATE_LEARN_MIN_CALLS": "1", "MODELGATE_SEARCH_THRESHOLD": "0"}
        try:
            async with Gateway(Path(data_dir), url, **learn) as gateway:
                await gateway.command("servers", "import", str(client_configuration(tools, Path(data_dir))))
                await gateway.command("sync")
                # What one caller says counts as one example of a tool in all.
                keys = [(await gateway.command("keys", "create")).split()[0] for _ in range(_CALLERS)]
                await _story(gateway, keys, tools, queries, remembered, searched, having)
        finally:
            await asyncio.to_thread(database_server.stop)


async def _story(
    gateway: Gateway,
    keys: Sequence[str],
    tools: Sequence[Tool],
    queries: Sequence[Any],
    remembered: Sequence[int],
    searched: Sequence[int],
    having: set[int],
) -> None:
    async def found(query: int) -> list[dict[str, Any]]:
        (asked,) = searches(keys[query % len(keys)], [queries[query]["query"]], max_results=50, detail="brief")
        (body,) = await answer(gateway, [asked])
        return list(json.loads(json.loads(body)["result"]["content"][0]["text"])["tools"])

    def is_of(found_tool: dict[str, Any], tool: Tool) -> bool:
        of = found_tool["_metadata"]
        return bool(of["tool"] == tool["name"] and of["server"] == tool["server"].replace("/", " ")[:100])

    async def measure() -> tuple[float, float]:
        with_examples: list[float] = []
        without: list[float] = []
        for query in searched:
            right = frozenset(queries[query]["relevant"])
            places = [
                next((tool for tool in right if is_of(one, tools[tool])), -1) for one in (await found(query))[:10]
            ]
            (with_examples if right & having else without).append(ndcg(places, right))
        return float(np.mean(with_examples)), float(np.mean(without))

    asked = searches(keys[0], [queries[query]["query"] for query in searched])
    before, load = await measure(), await gateway.load(asked, 1, 3.0)
    called = 0
    for query in remembered:
        for tool in set(queries[query]["relevant"]) & having:
            exposed = next((one["name"] for one in await found(query) if is_of(one, tools[tool])), None)
            if exposed is not None:
                await answer(
                    gateway, [request(keys[query % len(keys)], "tools/call", {"name": exposed, "arguments": {}})]
                )
                called += 1
    counted, before_that = 0, -1
    # What is nearly the same counts once a day, so that fewer are counted than were called.
    while counted != before_that:
        await asyncio.sleep(3)
        before_that = counted
        status = json.loads(await gateway.command("learn", "status", "--json"))
        counted = sum(each["calls"] for each in status["examples"])
    after, later = await measure(), await gateway.load(asked, 1, 3.0)
    print(f"\n{called} calls followed searches, {counted} were counted, {status['raised_tools']} tools have learnt.")
    print("| | before | after |\n|---|---|---|")
    print(f"| nDCG@10, tools with examples | {before[0]:.3f} | {after[0]:.3f} ({after[0] - before[0]:+.3f}) |")
    print(f"| nDCG@10, tools without | {before[1]:.3f} | {after[1]:.3f} ({after[1] - before[1]:+.3f}) |")
    print(f"| a search, p50 ms | {load.p50:.2f} | {later.p50:.2f} |", flush=True)


async def count_pairs(folder: Path, pairs: int) -> None:
    """So many pairs into a real database, by the part of a gateway that does it there."""
    queries = read_queries(folder)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir:
        environ = {"MODELGATE_DATA_DIR": data_dir, "MODELGATE_LEARN_FROM_USE": "on", "MODELGATE_CONFIG": os.devnull}
        async with open_components(load_settings(environ=environ)) as parts:
            space = await parts.spaces.active_space()
            tools = await Filler(parts.database, read_tools(folder, _PAIR_TOOLS), _PAIR_TOOLS).fill(space.id)
            assert parts.use_learning is not None
            recorder = parts.use_learning.recorder
            now = datetime.now(timezone.utc)
            began, cpu = time.perf_counter(), time.process_time()
            for start in range(0, pairs, _PAIRS_AT_ONCE):
                for _ in range(min(_PAIRS_AT_ONCE, pairs - start)):
                    query = int(random.zipf(1.3)) % len(queries)
                    account = f"key {random.integers(_PAIR_ACCOUNTS)}"
                    recorder.record(QueryToolPair(1, tools[query % len(tools)], account, queries[query], 1.0, now))
                while recorder.waiting:  # noqa: ASYNC110 - of the task that counts
                    await asyncio.sleep(0.01)
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            status = await parts.database.fetch("learning_counts", 1)
            counted = sum(row["calls"] for row in status)
            print(
                f"{pairs} pairs in {took:.1f} s ({pairs / took:,.0f}/s, {cpu / pairs * 1e6:.0f} µs of this process "
                f"each); {counted} were counted, for the others said what their account had said that day; "
                f"dropped {recorder.dropped}."
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the labelled sets")
    parser.add_argument("--set", action="append", dest="sets", help="all three, by default")
    parser.add_argument("--divisions", type=int, default=4, help="so many divisions into halves, by chance")
    parser.add_argument("--http", action="store_true", help="through a gateway process, on the first set")
    parser.add_argument("--queries", type=int, default=1_500, help="so many queries over HTTP")
    parser.add_argument("--pairs", type=int, default=0, help="count so many pairs of searches and calls")
    given = parser.parse_args()
    if given.pairs:
        asyncio.run(count_pairs(given.data, given.pairs))
        return
    for name in given.sets or SETS:
        path = given.data / f"{name}.json"
        if given.http:
            asyncio.run(over_http(path, given.queries))
            return
        print_table(Measured.of(path), given.divisions)


if __name__ == "__main__":
    main()
