"""How well a model finds tools by meaning alone: nDCG@10 by the combined text, as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.embedding.embedder import Vectors
from training.examples import tool_texts

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class LabelledQueries:
    """Queries against the combined texts of a catalogue; `relevant` has the positions of each one's right tools."""

    name: str
    documents: list[str]
    queries: list[str]
    relevant: list[set[int]]


def load_labelled(path: Path) -> LabelledQueries:
    """A set in the form of `bench/retrieval.py`."""
    content = json.loads(path.read_text("utf-8"))
    return LabelledQueries(
        path.stem,
        [tool_texts(tool).combined for tool in content["tools"]],
        [query["query"] for query in content["queries"]],
        [set(query["relevant"]) for query in content["queries"]],
    )


def print_table(models: Mapping[str, Embed], sets: Sequence[LabelledQueries]) -> None:
    """One row a model, one column a set."""
    print("| nDCG@10 | " + " | ".join(f"{of.name} ({len(of.queries)})" for of in sets) + " |")
    print("|---|" + "---|" * len(sets))
    for name, embed in models.items():
        print(f"| {name} | " + " | ".join(f"{mean_ndcg(embed, of):.3f}" for of in sets) + " |", flush=True)


def mean_ndcg(embed: Embed, of: LabelledQueries) -> float:
    """The mean over the queries of nDCG@10, with a gain of 1 for each right tool."""
    cosines = embed(of.queries) @ embed(of.documents).T
    gains = []
    for row, relevant in zip(cosines, of.relevant, strict=True):
        best = np.argsort(-row, kind="stable")[:10]
        gained = sum(1 / math.log2(place + 2) for place, tool in enumerate(best) if int(tool) in relevant)
        gains.append(gained / sum(1 / math.log2(place + 2) for place in range(min(10, len(relevant)))))
    return float(np.mean(gains))
