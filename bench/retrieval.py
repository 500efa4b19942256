"""How well search ranks tools, and what its score is worth, on labelled sets.

    python -m bench.retrieval [--data FOLDER] [--embedder builtin|encoder|cut|static|URL] [FILE ...]

The folder (or $MODELGATE_BENCH_DATA) holds files `NAME.json`: `{"tools": [{"server", "name", "description",
"inputSchema"}], "queries": [{"query", "relevant": [tool's position]}]}`. Without files named, all of the folder are
measured. Everything goes through the index in memory, the ranking and the score that searches use; vectors are kept
below `.bench/`.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.sets.builtin import EMBEDDERS
from bench.sets.labelled import Catalogue, LabelledSet, load_set, queries_of
from bench.sets.served import served
from gateway.search import ranking
from gateway.search.cosine_baseline import baseline_of, everyday_requests
from gateway.search.ranking import CosineBaseline, Floats, Signals
from gateway.search.score import NAMEABLE, score_of, scores_of

NONSENSE = Path(__file__).parent / "nonsense.txt"
# Shares of a tool's three vectors (combined, name, description) in the one that it is ranked by; see ranking_vector.
WEIGHTS = (0.8, 0.1, 0.1)
MAX_RESULTS, MAX_MORE, NEAREST = 5, 8, 5

Rank = Callable[[Signals, CosineBaseline], Floats]


def baselines(catalogue: Catalogue) -> CosineBaseline:
    requests = everyday_requests()
    return baseline_of(catalogue.index.sample(2_000), catalogue.embedding.of_queries(requests))


def dense(signals: Signals, _: CosineBaseline) -> Floats:
    assert signals.cosines is not None
    cosines: Floats = signals.cosines[0]
    return cosines


def words(signals: Signals, _: CosineBaseline) -> Floats:
    lexical: Floats = signals.lexical[0]
    return lexical


def fixed_fusion(signals: Signals, _: CosineBaseline) -> Floats:
    def z(values: Floats) -> Floats:
        standardised: Floats = (values - values.mean()) / max(float(values.std()), 1e-6)
        return standardised

    fused: Floats = z(dense(signals, _)) + np.float32(0.25) * z(words(signals, _))
    return fused


def without_clauses(signals: Signals) -> Signals:
    cosines = None if signals.cosines is None else signals.cosines[:1]
    return Signals(signals.tool_ids, signals.servers, cosines, signals.lexical[:1], signals.max_lexical[:1])


def one_server(signals: Signals) -> Signals:
    servers = np.zeros_like(signals.servers)
    return Signals(signals.tool_ids, servers, signals.cosines, signals.lexical, signals.max_lexical)


STEPS: dict[str, Rank] = {
    "BM25 alone": words,
    "vectors alone": dense,
    "z(cosine) + .25 z(BM25)": fixed_fusion,
    "BM25 weighed by coverage": lambda s, b: ranking.rank(without_clauses(one_server(s)), b).fused,
    "+ clauses of the query": lambda s, b: ranking.rank(one_server(s), b).fused,
    "+ vote of the server (ModelGate)": lambda s, b: ranking.rank(s, b).fused,
    "ModelGate by words alone": lambda s, b: (
        ranking.rank(Signals(s.tool_ids, s.servers, None, s.lexical, s.max_lexical), b).fused
    ),
}


def ndcg(order: Sequence[int], right: frozenset[int]) -> float:
    """nDCG@10 with a gain of 1 for each right tool."""
    gained = sum(1 / math.log2(place + 2) for place, tool in enumerate(order[:10]) if tool in right)
    return gained / sum(1 / math.log2(place + 2) for place in range(min(10, len(right))))


def print_ranking(sets: Sequence[LabelledSet]) -> None:
    print("\n## Ranking: nDCG@10 (right tool among the best 5, among the best 10)\n")
    heads = (f"{of.name}, {len(of.queries)} queries, {len(of.catalogue.tools)} tools" for of in sets)
    print("| | " + " | ".join(heads) + " | mean |\n|---|" + "---|" * (len(sets) + 1))
    for name, rank in STEPS.items():
        cells, means = [], []
        for labelled in sets:
            baseline = baselines(labelled.catalogue)
            gains, five, ten = [], [], []
            for query, vectors, right in zip(labelled.queries, labelled.vectors, labelled.right, strict=True):
                fused = rank(labelled.catalogue.signals(query, vectors), baseline)
                order = np.argsort(-fused, kind="stable")[:10].tolist()
                gains.append(ndcg(order, right))
                five.append(bool(right & set(order[:5])))
                ten.append(bool(right & set(order)))
            means.append(float(np.mean(gains)))
            cells.append(f"{means[-1]:.4f} ({np.mean(five):.2f}, {np.mean(ten):.2f})")
        print(f"| {name} | " + " | ".join(cells) + f" | {np.mean(means):.4f} |", flush=True)


def print_answers(sets: Sequence[LabelledSet]) -> None:
    """What an answer at the defaults shows: as tools, and as lines."""
    print("\n## Answers at the defaults\n")
    print("| | of right tools in the best 5, shown | of those in the best 10, shown or named | tools | lines | any |")
    print("|---|---|---|---|---|---|")
    nonsense = NONSENSE.read_text("utf-8").splitlines()
    rows = [(labelled.name, labelled) for labelled in sets]
    seen: set[int] = set()
    for labelled in sets:
        if len(labelled.catalogue.tools) not in seen:
            seen.add(len(labelled.catalogue.tools))
            empty: list[list[int]] = [[]] * len(nonsense)
            rows.append((f"nonsense on {labelled.name}", queries_of("", labelled.catalogue, nonsense, empty)))
    for name, labelled in rows:
        print(f"| {name} | " + " | ".join(answered(labelled)) + " |", flush=True)


def answered(labelled: LabelledSet) -> list[str]:
    """The cells of a row of the table of answers."""
    baseline = baselines(labelled.catalogue)
    five, ten, shown, named = [], [], [], []
    for query, vectors, right in zip(labelled.queries, labelled.vectors, labelled.right, strict=True):
        signals = labelled.catalogue.signals(query, vectors)
        ranked = ranking.rank(signals, baseline)
        scores = scores_of(signals, ranked, baseline)
        order = ranked.order[: MAX_RESULTS + MAX_MORE].tolist()
        tools = [tool for tool in order[:MAX_RESULTS] if scores[tool] >= 0.5]
        lines = [tool for tool in order[len(tools) :] if scores[tool] >= score_of(NAMEABLE)][:MAX_MORE]
        if not tools:
            lines = order[:NEAREST]
        shown.append(len(tools))
        named.append(len(lines))
        if right & set(order[:5]):
            five.append(bool(right & set(tools)))
        if right & set(order[:10]):
            ten.append(bool(right & {*tools, *lines}))
    return [
        f"{np.mean(five):.3f}" if five else "",
        f"{np.mean(ten):.3f}" if ten else "",
        f"{np.mean(shown):.2f}",
        f"{np.mean(named):.2f}",
        f"{np.mean(np.array(shown) > 0):.3f}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the labelled sets")
    parser.add_argument(
        "--embedder",
        default="builtin",
        help=f"{', '.join(EMBEDDERS)}, or the address of a server of /v1/embeddings, as http://127.0.0.1:8000/v1",
    )
    parser.add_argument("files", nargs="*", type=Path, help="sets in this format, in place of the folder's")
    given = parser.parse_args()
    files = given.files or sorted(given.data.glob("*.json"))
    if not files:
        print(f"There are no sets in {given.data}; name their folder with --data.", file=sys.stderr)
        return 1
    started = time.perf_counter()
    made = EMBEDDERS.get(given.embedder)
    embedding = made() if made is not None else served(given.embedder)
    sets = [load_set(file, file.stem, embedding, WEIGHTS) for file in files]
    print_ranking(sets)
    print_answers(sets)
    print(f"\nMeasured in {time.perf_counter() - started:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
