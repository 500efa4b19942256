"""How well search ranks tools, and what its score is worth, on labelled sets.

    python -m bench.retrieval --data FOLDER

The folder (or $MODELGATE_BENCH_DATA) holds `livemcpbench-steps.json`, `livemcpbench-tasks.json` and `metatool.json`:
`{"tools": [{"server", "name", "description", "inputSchema"}], "queries": [{"query", "relevant": [tool's position]}]}`.
Everything is measured with the builtin embedder, ModelGate's own texts, calibration and fusion, and a BM25 that is
written here once more, independent of the database's. Stems come from `snowballstemmer` (dependency group `bench`).
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from gateway.catalog.category import split_words
from gateway.catalog.text import build_tool_texts
from gateway.catalog.tool import ToolDefinition
from gateway.embedding.builtin import BuiltinEmbedder
from gateway.embedding.embedder import Vectors
from gateway.search.bm25 import K1, B
from gateway.search.calibration import Calibration, calibrate
from gateway.search.fusion import Candidate, fuse

try:
    import snowballstemmer
except ImportError:
    snowballstemmer = None

Matrix = NDArray[np.float64]

SETS = {"steps": "livemcpbench-steps", "tasks": "livemcpbench-tasks", "MetaTool": "metatool"}
CANDIDATES = 60
# The words that PostgreSQL's `english` configuration leaves out.
STOP_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        """
        i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
        it its itself they them their theirs themselves what which who whom this that these those am is are was were be
        been being have has had having do does did doing a an the and but if or because as until while of at by for with
        about against between into through during before after above below to from up down in out on off over under
        again further then once here there when where why how all any both each few more most other some such no nor not
        only own same so than too very s t can will just don should now
        """,
    )
)
NONSENSE = (
    "qwerty zxcvb", "asdf ghjkl", "lorem ipsum dolor sit amet", "blorf wug snarp", "xyzzy plugh", "foo bar baz",
    "the of and to", "aaaaaaa", "zzz yyy xxx", "jabberwocky slithy toves", "florp the quux", "12345 67890",
    "colorless green ideas sleep furiously", "hjkl wasd", "mimsy borogoves outgrabe", "!!! ???",
)  # fmt: skip
SMALL_CATALOGUE: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("calculator", "Perform mathematical calculations", {"expression": "The expression to evaluate"}),
    ("get_weather", "Get the current weather for a location", {"location": "City name"}),
    ("get_system_info", "Get information about the system: operating system, CPU, memory and disk", {}),
    ("search_files", "Search for files by name pattern", {"pattern": "Glob pattern", "path": "Directory to search in"}),
)
SMALL_QUERIES = {
    "calculate math expressions": "calculator",
    "weather in Paris": "get_weather",
    "how much memory does this machine have": "get_system_info",
    "find a file by name": "search_files",
    "qwerty zxcvb": None,
    "send an email to my boss": None,
    "book a flight to Tokyo": None,
}


@dataclass(frozen=True)
class Bm25:
    """Scores (queries, tools), and for each query the largest score there could be."""

    scores: Matrix
    ceilings: Matrix


@dataclass(frozen=True)
class Catalogue:
    """Tools, their texts, their vectors by kind, shape (tools, d), and what these say of the space."""

    tools: list[dict[str, Any]]
    lexical: list[str]
    plain: list[str]
    vectors: dict[str, Vectors]
    calibration: Calibration


@dataclass(frozen=True)
class Run:
    """Queries against a catalogue; `right` names the positions of each query's right tools (none: unanswerable)."""

    catalogue: Catalogue
    queries: list[str]
    right: list[frozenset[int]]
    cosines: dict[str, Matrix]
    plain: Bm25
    stemmed: Bm25


def embedded(texts: Sequence[str], *, queries: bool = False) -> Vectors:
    async def embed() -> Vectors:
        embedder = BuiltinEmbedder()
        if queries:
            return np.stack([await embedder.embed_query(text) for text in texts])
        return await embedder.embed_documents(texts)

    return anyio.run(embed)


def catalogue_of(tools: list[dict[str, Any]]) -> Catalogue:
    texts, plain = [], []
    for tool in tools:
        definition = ToolDefinition(tool["name"], json.dumps(tool), b"")
        texts.append(build_tool_texts(tool["server"], definition))
        parameters = " ".join(f"{name} {description}" for name, description in definition.parameters)
        plain.append(f"{tool['name']} {tool['description']} {parameters}")
    vectors = {kind: embedded([getattr(text, kind) for text in texts]) for kind in ("name", "description", "combined")}
    calibration = calibrate(vectors["name"], vectors["description"], vectors["combined"])
    return Catalogue(tools, [text.lexical for text in texts], plain, vectors, calibration)


def run_of(catalogue: Catalogue, queries: list[str], right: Sequence[Sequence[int]]) -> Run:
    vectors = embedded(queries, queries=True)
    cosines = {kind: (vectors @ stored.T).astype(np.float64) for kind, stored in catalogue.vectors.items()}
    plain = bm25(catalogue.plain, queries, plain_words, k1=1.5)
    stemmed = bm25(catalogue.lexical, queries, stems, k1=K1)
    return Run(catalogue, queries, [frozenset(positions) for positions in right], cosines, plain, stemmed)


def plain_words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def stems(text: str) -> list[str]:
    return [_stem(word) for word in split_words(text) if word not in STOP_WORDS]


@functools.cache
def _stem(word: str) -> str:
    if snowballstemmer is None:
        return word
    return str(_stemmer().stemWord(word))


@functools.cache
def _stemmer() -> Any:
    return snowballstemmer.stemmer("english")


def bm25(documents: Sequence[str], queries: Sequence[str], words: Callable[[str], list[str]], k1: float) -> Bm25:
    """Robertson and Zaragoza 2009, with the idf that is never negative, over a query's distinct words."""
    counts = [Counter(words(document)) for document in documents]
    lengths = np.array([count.total() for count in counts], dtype=np.float64)
    damping = k1 * (1 - B + B * lengths / max(lengths.mean(), 1.0))
    holders: dict[str, list[int]] = {}
    for position, count in enumerate(counts):
        for word in count:
            holders.setdefault(word, []).append(position)
    scores = np.zeros((len(queries), len(documents)))
    ceilings = np.zeros(len(queries))
    for row, query in enumerate(queries):
        for word in sorted(set(words(query)) & holders.keys()):
            found = holders[word]
            idf = math.log(1 + (len(documents) - len(found) + 0.5) / (len(found) + 0.5))
            often = np.array([counts[position][word] for position in found], dtype=np.float64)
            scores[row, found] += idf * often * (k1 + 1) / (often + damping[found])
            ceilings[row] += idf * (k1 + 1)
    return Bm25(scores, ceilings)


def modelgate_scores(run: Run, *, vectors: bool = True) -> Matrix:
    """Scores by `fuse` of what the database would return for each query; 0 for all else."""
    scores = np.zeros_like(run.stemmed.scores)
    for row, words in enumerate(run.stemmed.scores):
        found = {int(position) for position in np.argsort(-words, kind="stable")[:CANDIDATES] if words[position] > 0}
        if vectors:
            found.update(map(int, np.argsort(-run.cosines["combined"][row], kind="stable")[:CANDIDATES]))
        positions = sorted(found)
        candidates = [
            Candidate(
                tool_id=position,
                combined=float(run.cosines["combined"][row, position]) if vectors else None,
                name=float(run.cosines["name"][row, position]) if vectors else None,
                description=float(run.cosines["description"][row, position]) if vectors else None,
                lexical=float(words[position]),
            )
            for position in positions
        ]
        scores[row, positions] = fuse(
            candidates, run.catalogue.calibration, float(run.stemmed.ceilings[row]), len(run.catalogue.tools)
        )
    return scores


def min_max(scores: Matrix) -> Matrix:
    low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
    scaled: Matrix = (scores - low) / np.where(high > low, high - low, 1.0)
    return scaled


def mean_of_three(run: Run) -> Matrix:
    return (run.cosines["combined"] + run.cosines["name"] + run.cosines["description"]) / 3


RANKERS: dict[str, Callable[[Run], Matrix]] = {
    "BM25, plain words": lambda run: run.plain.scores,
    "BM25, stems, name twice, server": lambda run: run.stemmed.scores,
    "dense, combined": lambda run: run.cosines["combined"],
    "dense, mean of three": mean_of_three,
    "min-max .6 * mean of three + .4 * BM25": lambda run: (
        0.6 * min_max(mean_of_three(run)) + 0.4 * min_max(run.stemmed.scores)
    ),
    "ModelGate": modelgate_scores,
    "ModelGate, no vectors": lambda run: modelgate_scores(run, vectors=False),
}


def ranking(scores: Matrix, right: Sequence[frozenset[int]]) -> tuple[float, float, float]:
    """nDCG@10, recall@5 and the mean reciprocal rank."""
    gains, recalls, reciprocals = [], [], []
    for row, wanted in zip(scores, right, strict=True):
        order = [int(position) for position in np.argsort(-row, kind="stable")]
        discounted = sum(1 / math.log2(rank + 2) for rank, position in enumerate(order[:10]) if position in wanted)
        gains.append(discounted / sum(1 / math.log2(rank + 2) for rank in range(min(10, len(wanted)))))
        recalls.append(len(wanted & set(order[:5])) / len(wanted))
        reciprocals.append(next(1 / (rank + 1) for rank, position in enumerate(order) if position in wanted))
    return float(np.mean(gains)), float(np.mean(recalls)), float(np.mean(reciprocals))


def without_right_tools(run: Run) -> Run:
    """The same queries, each on a catalogue in which its right tools are not."""
    taken = np.zeros_like(run.stemmed.scores, dtype=bool)
    for row, wanted in enumerate(run.right):
        taken[row, sorted(wanted)] = True
    cosines = {kind: np.where(taken, -1.0, matrix) for kind, matrix in run.cosines.items()}
    stemmed = Bm25(np.where(taken, 0.0, run.stemmed.scores), run.stemmed.ceilings)
    return Run(run.catalogue, run.queries, [frozenset()] * len(run.queries), cosines, run.plain, stemmed)


def print_ranking(runs: dict[str, Run]) -> None:
    print("\n## Ranking: nDCG@10, recall@5, MRR\n")
    print(
        "| | "
        + " | ".join(
            f"{name}, {len(run.queries)} queries, {len(run.catalogue.tools)} tools" for name, run in runs.items()
        )
        + " |"
    )
    print("|---|" + "---|" * len(runs))
    for name, ranker in RANKERS.items():
        cells = (" ".join(f"{value:.3f}" for value in ranking(ranker(run), run.right)) for run in runs.values())
        print(f"| {name} | " + " | ".join(cells) + " |")


def print_threshold(runs: dict[str, Run]) -> None:
    print("\n## At a score of 0.5\n")
    print(
        "| answerable queries | precision | right tools kept | queries with a right tool | with any | results a query |"
    )
    print("|---|---|---|---|---|---|")
    scored = {
        "ModelGate": modelgate_scores,
        "ModelGate, no vectors": RANKERS["ModelGate, no vectors"],
        "raw cosine": RANKERS["dense, combined"],
    }
    for label, ranker in scored.items():
        for name, run in runs.items():
            kept = [set(map(int, np.flatnonzero(row >= 0.5))) for row in ranker(run)]
            hits = [len(found & wanted) for found, wanted in zip(kept, run.right, strict=True)]
            results, queries = sum(map(len, kept)), len(run.queries)
            print(
                f"| {name}: {label} | {sum(hits) / max(results, 1):.2f} | {sum(hits) / sum(map(len, run.right)):.2f} "
                f"| {sum(map(bool, hits)) / queries:.2f} | {sum(map(bool, kept)) / queries:.2f} "
                f"| {results / queries:.2f} |"
            )


def print_unanswerable(runs: dict[str, Run]) -> None:
    live, meta = runs["steps"].catalogue, runs["MetaTool"].catalogue
    foreign = {
        f"{name} against {where}": run_of(catalogue, list(queries), [()] * len(queries))
        for name, queries, where, catalogue in (
            ("MetaTool", runs["MetaTool"].queries[::3], "LiveMCPBench", live),
            ("steps", runs["steps"].queries, "MetaTool", meta),
            ("tasks", runs["tasks"].queries, "MetaTool", meta),
            ("nonsense", NONSENSE, "LiveMCPBench", live),
            ("nonsense", NONSENSE, "MetaTool", meta),
        )
    }
    foreign |= {f"{name}, right tools taken out": without_right_tools(run) for name, run in runs.items()}
    print("\n## Queries whose tool is not there: share with a result at 0.5 (some can be answered all the same)\n")
    print("| | ModelGate | no vectors | raw cosine |\n|---|---|---|---|")
    for name, run in foreign.items():
        shares = (
            float((scores >= 0.5).any(axis=1).mean())
            for scores in (modelgate_scores(run), modelgate_scores(run, vectors=False), run.cosines["combined"])
        )
        print(f"| {name} ({len(run.queries)}) | " + " | ".join(f"{share:.2f}" for share in shares) + " |")


def print_calibration(runs: dict[str, Run]) -> None:
    print("\n## Predicted and actual share of right tools, by score\n")
    edges = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)
    print("| score | " + " | ".join(f"{name}: tools, mean score, right" for name in runs) + " |")
    print("|---|" + "---|" * len(runs))
    measured = {name: (modelgate_scores(run), run) for name, run in runs.items()}
    for low, high in itertools.pairwise(edges):
        cells = []
        for scores, run in measured.values():
            rows, columns = np.nonzero((scores >= low) & (scores < high))
            actual = [column in run.right[row] for row, column in zip(rows, columns, strict=True)]
            cells.append(f"{len(rows)} {scores[rows, columns].mean():.2f} {np.mean(actual):.2f}" if len(rows) else "0")
        print(f"| {low:.2f} to {min(high, 1):.2f} | " + " | ".join(cells) + " |")


def print_small() -> None:
    tools = [
        {
            "server": "Local MCP",
            "name": name,
            "description": description,
            "inputSchema": {"properties": {key: {"description": text} for key, text in parameters.items()}},
        }
        for name, description, parameters in SMALL_CATALOGUE
    ]
    run = run_of(catalogue_of(tools), list(SMALL_QUERIES), [[]] * len(SMALL_QUERIES))
    print("\n## Four tools\n")
    print("| query | wanted | scores | without vectors |\n|---|---|---|---|")
    both = modelgate_scores(run), modelgate_scores(run, vectors=False)
    for row, (query, wanted) in enumerate(SMALL_QUERIES.items()):
        cells = (
            ", ".join(f"{tools[i]['name']} {scores[row, i]:.2f}" for i in np.argsort(-scores[row])[:2])
            for scores in both
        )
        print(f"| {query} | {wanted or 'none'} | " + " | ".join(cells) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval")),
        help="folder of the labelled sets (default: $MODELGATE_BENCH_DATA, else ../shared/data/retrieval)",
    )
    folder = parser.parse_args().data
    started = time.perf_counter()
    runs: dict[str, Run] = {}
    catalogues: dict[str, Catalogue] = {}
    for name, file in SETS.items():
        try:
            content = json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            print(f"{folder / file}.json does not exist; name the folder of the sets with --data.", file=sys.stderr)
            return 1
        key = json.dumps(content["tools"])
        catalogue = catalogues.get(key) or catalogue_of(content["tools"])
        catalogues[key] = catalogue
        queries = content["queries"]
        runs[name] = run_of(catalogue, [entry["query"] for entry in queries], [entry["relevant"] for entry in queries])
    if snowballstemmer is None:
        print("Without stemming: `pip install --group bench` brings the stemmer.")
    for name in ("steps", "MetaTool"):
        values = ", ".join(f"{key} {value:.3f}" for key, value in asdict(runs[name].catalogue.calibration).items())
        print(f"Calibration from the catalogue of {name}: {values}")
    print_ranking(runs)
    print_threshold(runs)
    print_unanswerable(runs)
    print_calibration(runs)
    print_small()
    print(f"\nMeasured in {time.perf_counter() - started:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
