"""Fits the constants of `gateway/search/score.py`, and shows what they are worth on sets that they were not fitted on.

    python -m bench.score [--data FOLDER]

A logistic regression tells queries that have their tool among the best five from those that have none: nonsense, and
requests for other catalogues. Its base is then set where a fifth of the nonsense would get an answer, and the price
of a step behind the best tool where the sets' answers hold 3.8 tools on average. Nothing of `bench/nonsense.txt` is
used.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.retrieval import WEIGHTS, baselines
from bench.sets.builtin import builtin
from bench.sets.labelled import LabelledSet, load_set, queries_of
from gateway.search import ranking
from gateway.search.cosine_baseline import baseline_of, everyday_requests
from gateway.search.ranking import Signals
from gateway.search.score import MAX_CERTAIN, MISSING_COSTS, Weights, evidence_of

UNANSWERABLE = Path(__file__).parent / "sets" / "unanswerable.txt"
SHARES = (1.0, 0.3, 0.1)
NONSENSE_ANSWERED = 1 / 5
TOOLS_SHOWN = 3.8
FOREIGN_WEIGHT = 0.2
PENALTY = 1e-4

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Queries of one kind against one catalogue: evidence (n, 5), steps behind the best of the best 10 tools (n, 10),
    and which of these are right (n, 10)."""

    kind: str
    origin: str
    size: float
    evidence: Matrix
    behind: Matrix
    right: NDArray[np.bool_]


def sample(
    kind: str, origin: str, size: float, labelled: LabelledSet, subset: NDArray[np.bool_], *, words: bool
) -> Sample:
    catalogue = labelled.catalogue
    baseline = baselines(catalogue)
    if size < 1:
        requests = catalogue.embedding.of_queries(everyday_requests())
        baseline = baseline_of(catalogue.index.sample(10_000)[subset], requests)
    evidence, behind, right = [], [], []
    for query, vectors, wanted in zip(labelled.queries, labelled.vectors, labelled.right, strict=True):
        signals = catalogue.signals(query, vectors, subset)
        if words:
            signals = Signals(signals.tool_ids, signals.servers, None, signals.lexical, signals.max_lexical)
        ranked = ranking.rank(signals, baseline)
        evidence.append(astuple(evidence_of(signals, ranked, baseline)))
        best = ranked.order[:10]
        steps = ranked.fused[best[0]] - ranked.fused[best]
        behind.append(np.pad(steps, (0, 10 - len(best)), constant_values=np.inf))
        hits = np.array([int(signals.tool_ids[place]) in wanted for place in best])
        right.append(np.pad(hits, (0, 10 - len(best))))
    return Sample(kind, origin, size, np.array(evidence), np.array(behind), np.array(right))


def samples_of(sets: Sequence[LabelledSet], *, words: bool) -> list[Sample]:
    random = np.random.default_rng(7)
    nonsense = UNANSWERABLE.read_text("utf-8").splitlines()
    samples = []
    for labelled in sets:
        catalogue = labelled.catalogue
        empty: list[list[int]] = [[]] * len(nonsense)
        salad = mixed_words(sets, random, 60)
        unanswerable = queries_of("", catalogue, [*nonsense, *salad], [*empty, *[[]] * len(salad)])
        foreign = [other for other in sets if len(other.catalogue.tools) != len(catalogue.tools)]
        for share in SHARES:
            subset = random.random(len(catalogue.tools)) < share
            samples.append(sample("answerable", labelled.name, share, some(labelled, 400), subset, words=words))
            samples.append(sample("nonsense", labelled.name, share, unanswerable, subset, words=words))
            for other in foreign:
                asked = some(other, 90)
                queries = queries_of("", catalogue, asked.queries, [[]] * len(asked.queries))
                samples.append(sample("foreign", labelled.name, share, queries, subset, words=words))
    return samples


def mixed_words(sets: Sequence[LabelledSet], random: np.random.Generator, count: int) -> list[str]:
    """Words of real queries in no order."""
    words = sorted(
        {word for labelled in sets for query in labelled.queries for word in query.lower().split() if word.isalpha()}
    )
    return [" ".join(random.choice(words, random.integers(3, 8))) for _ in range(count)]


def some(labelled: LabelledSet, most: int) -> LabelledSet:
    step = max(1, -(-len(labelled.queries) // most))
    return replace(
        labelled, queries=labelled.queries[::step], right=labelled.right[::step], vectors=labelled.vectors[::step]
    )


def fit(samples: Sequence[Sample], *, words: bool) -> Weights:
    """The weights for these samples."""
    rows, labels, weights = [], [], []
    for of in samples:
        if of.kind == "answerable":
            chosen = of.evidence[of.right[:, :5].any(axis=1)]
            weight = 1.0
        else:
            chosen = of.evidence
            weight = FOREIGN_WEIGHT if of.kind == "foreign" else 1.0
        rows.append(chosen)
        labels.append(np.full(len(chosen), of.kind == "answerable", float))
        weights.append(np.full(len(chosen), weight / max(len(chosen), 1)))
    evidence = np.concatenate(rows)
    if words:
        evidence[:, 1] = 0
    features = np.column_stack([np.ones(len(evidence)), evidence])
    coefficients = logistic(features, np.concatenate(labels), np.concatenate(weights))

    def strength(of: Sample) -> Matrix:
        strengths: Matrix = of.evidence @ coefficients[1:] + coefficients[0]
        return strengths

    nonsense = np.concatenate([strength(of) for of in samples if of.kind == "nonsense" and of.size == 1])
    cut = float(np.quantile(nonsense, 1 - NONSENSE_ANSWERED))
    answered = [(strength(of) - cut, of) for of in samples if of.kind == "answerable" and of.size == 1]
    behind = next(
        (
            price
            for price in np.arange(0.1, 3.0, 0.05)
            if np.mean([shown(margin, of, price).sum(axis=1).mean() for margin, of in answered]) <= TOOLS_SHOWN
        ),
        3.0,
    )
    base = float(coefficients[0]) - cut + math.log(1 / 5)
    lead, meaning, words_weight, size, content = (float(value) for value in coefficients[1:])
    return Weights(base, lead, meaning, words_weight, size, content, float(behind))


def logistic(features: Matrix, labels: Matrix, weights: Matrix) -> Matrix:
    """Weighted logistic regression with a small ridge, by Newton's method."""
    coefficients = np.zeros(features.shape[1])
    weights = weights / weights.sum()
    ridge = np.diag([0.0, *[PENALTY] * (features.shape[1] - 1)])
    for _ in range(50):
        expected = 1 / (1 + np.exp(-features @ coefficients))
        gradient = features.T @ (weights * (expected - labels)) + ridge @ coefficients
        curvature = (features * (weights * expected * (1 - expected))[:, None]).T @ features + ridge
        coefficients -= np.linalg.solve(curvature + 1e-9 * np.eye(len(coefficients)), gradient)
    return coefficients


def shown(margin: Matrix, of: Sample, price: float) -> NDArray[np.bool_]:
    """Which of the best five are shown, (n, 5)."""
    # `margin` counts from where a tool is worth showing.
    most = MAX_CERTAIN - math.log(1 / MISSING_COSTS)
    passing: NDArray[np.bool_] = np.minimum(margin, most)[:, None] >= price * np.square(of.behind[:, :5])
    return passing


def print_worth(samples: Sequence[Sample], weights: Weights, note: str) -> None:
    values = np.array(astuple(weights))
    for of in samples:
        if of.kind == "foreign":
            continue
        margin = of.evidence @ values[1:6] + values[0] - math.log(1 / 5)
        passing = shown(margin, of, weights.behind)
        found = of.right[:, :5].any(axis=1)
        hits = np.any(of.right[:, :5] & passing, axis=1, keepdims=True)[:, 0]
        kept = hits[found].mean() if found.any() else float("nan")
        print(
            f"| {note} | {of.origin} | {of.kind} | {of.size:.0%} | {kept:.3f} | {passing.sum(axis=1).mean():.2f} "
            f"| {passing.any(axis=1).mean():.3f} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the labelled sets")
    embedding = builtin()
    files = sorted(parser.parse_args().data.glob("*.json"))
    if not files:
        print("There are no sets; name their folder with --data.", file=sys.stderr)
        return 1
    sets = [load_set(file, file.stem, embedding, WEIGHTS) for file in files]
    for words in (False, True):
        samples = samples_of(sets, words=words)
        whole = fit(samples, words=words)
        print(f"\n## {'By words alone' if words else 'With vectors'}: {whole}\n")
        print(
            "| fitted on | set | queries | catalogue | right tools shown | tools | any |\n|---|---|---|---|---|---|---|"
        )
        print_worth(samples, whole, "all")
        # Sets that share their tools are left out together.
        for catalogue in {len(labelled.catalogue.tools) for labelled in sets}:
            left_out = {labelled.name for labelled in sets if len(labelled.catalogue.tools) == catalogue}
            others = [of for of in samples if of.origin not in left_out]
            print_worth(
                [of for of in samples if of.origin in left_out and of.size == 1], fit(others, words=words), "others"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
