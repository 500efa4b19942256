"""What a reranker gains and costs, on labelled sets.

    python -m bench.rerank --type server --base-url http://localhost:8080 [--model NAME] [--data FOLDER] [FILE ...]

The sets are those of `bench.retrieval`. Every query goes through the index, the ranking and the reranker that searches
use; the key, where one is needed, is read from MODELGATE_RERANK_API_KEY. Printed per set: nDCG@10 of the index and of
the reranker, the time of a call, and how many calls failed or took longer than a search would have waited.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.retrieval import WEIGHTS, baselines, ndcg
from bench.sets.builtin import builtin
from bench.sets.labelled import LabelledSet, load_set
from gateway.search.index.tool_card import ToolCard
from gateway.search.ranking import rank
from gateway.search.rerank.reranker_factory import open_reranking
from gateway.search.rerank.reranking import CANDIDATES, Reranking, RerankReport
from gateway.settings import RerankSettings

# So long each call is waited for, to know what it would have given.
PATIENCE_MS = 60_000


def card_of(position: int, tool: dict[str, Any]) -> ToolCard:
    return ToolCard(
        tool_id=position,
        exposed_name=tool["name"],
        name=tool["name"],
        server_id=0,
        server=tool["server"],
        category="other",
        title=tool.get("title"),
        description=tool.get("description") or "",
        input_schema_json=json.dumps(tool["inputSchema"]),
        annotations_json=None,
        icons_json=None,
    )


async def measure(labelled: LabelledSet, reranking: Reranking, most: int, at_once: int, budget_ms: int) -> list[str]:
    """The cells of a row."""
    catalogue = labelled.catalogue
    baseline = baselines(catalogue)
    cards = [card_of(position, tool) for position, tool in enumerate(catalogue.tools)]
    before: list[float] = []
    after: list[float] = []
    reports: list[RerankReport] = []
    slots = asyncio.Semaphore(at_once)
    # Beforehand: on one thread they would be part of the first calls' time.
    orders = [
        rank(catalogue.signals(query, vectors), baseline).order[:CANDIDATES].tolist()
        for query, vectors in zip(labelled.queries[:most], labelled.vectors, strict=False)
    ]

    async def one(query: str, right: frozenset[int], order: list[int]) -> None:
        async with slots:
            report = await reranking.rank(query, [cards[position] for position in order])
        reports.append(report)
        before.append(ndcg(order, right))
        after.append(ndcg([order[place] for place in report.order], right))

    await asyncio.gather(*map(one, labelled.queries, labelled.right, orders))
    if failure := next((report.failure for report in reports if report.failure), ""):
        print(f"{labelled.name}: {failure}", file=sys.stderr)
    times = [report.milliseconds for report in reports if not report.failure and not report.repeated]
    late = sum(bool(report.failure) or report.milliseconds > budget_ms for report in reports)
    return [
        str(len(reports)),
        f"{np.mean(before):.4f}",
        f"{np.mean(after):.4f}",
        f"{np.mean(after) - np.mean(before):+.4f}",
        *(f"{np.percentile(times, share):.0f}" if times else "" for share in (50, 95)),
        f"{late / len(reports):.3f}",
    ]


async def measure_all(sets: Sequence[LabelledSet], settings: RerankSettings, given: argparse.Namespace) -> None:
    reranking = open_reranking(settings)
    assert reranking is not None
    print(f"{reranking.label}, the best {CANDIDATES} tools of each query, {given.at_once} at once\n")
    print(f"| | queries | index | reranked | gain | p50 ms | p95 ms | failed or over {given.budget_ms} ms |")
    print("|---|---|---|---|---|---|---|---|")
    for labelled in sets:
        cells = await measure(labelled, reranking, given.queries, given.at_once, given.budget_ms)
        print(f"| {labelled.name} | " + " | ".join(cells) + " |", flush=True)
    await reranking.aclose()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the labelled sets")
    parser.add_argument("--type", choices=("server", "llm"), required=True, help="as rerank.type")
    parser.add_argument("--base-url", default="", help="as rerank.base_url")
    parser.add_argument("--model", default="", help="as rerank.model")
    parser.add_argument("--budget-ms", type=int, default=RerankSettings().budget_ms, help="as rerank.budget_ms")
    parser.add_argument("--queries", type=int, default=sys.maxsize, help="so many of each set at most")
    parser.add_argument("--at-once", type=int, default=1, help="calls under way at the same time")
    parser.add_argument("files", nargs="*", type=Path, help="sets in this format, in place of the folder's")
    given = parser.parse_args()
    files = given.files or sorted(given.data.glob("*.json"))
    if not files:
        print(f"There are no sets in {given.data}; name their folder with --data.", file=sys.stderr)
        return 1
    key = os.environ.get("MODELGATE_RERANK_API_KEY", "")
    settings = RerankSettings(given.type, given.base_url, given.model, key, PATIENCE_MS)
    embedding = builtin()
    asyncio.run(measure_all([load_set(file, file.stem, embedding, WEIGHTS) for file in files], settings, given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
