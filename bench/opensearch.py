"""How well an OpenSearch cluster ranks, against memory, on labelled sets, and what a search takes there by parts.

    python -m bench.opensearch [--data FOLDER] [--cluster URL] [--sizes 1000,5000] [--queries 100] [FILE ...]

The sets are those of `bench.retrieval`. For larger catalogues the tools of all sets are taken again and again, each
time with vectors a little beside their own and another word. A cluster is that at the address, else a node of it that
is started as `make opensearch` does (Java 17 and Maven).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.figures import Figure, record
from bench.retrieval import WEIGHTS, baselines, ndcg
from bench.sets.builtin import EMBEDDERS
from bench.sets.labelled import Catalogue, LabelledSet, indexed_tools, load_set
from gateway.embedding.embedder import EmbeddingSpace
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import ToolDocument, tenant_key
from gateway.search.index.opensearch.feed.bulk_writer import BulkOperation, BulkWriter
from gateway.search.index.opensearch.mapping import IndexOwner, index_body, index_name
from gateway.search.index.opensearch.scope_measurement import Scope, ScopeMeasurement
from gateway.search.index.opensearch.search_bodies import (
    corpus_body,
    cosine_body,
    lexical_body,
    read_corpus,
    read_frequencies,
)
from gateway.search.index.postings import K1, inverse_document_frequency
from gateway.search.index.tenant_index import IndexedTool, TenantIndex
from gateway.search.query.clauses import clauses_of
from gateway.search.query.parsed_query import ParsedQuery, terms_of_each
from gateway.search.ranking import CosineBaseline, rank
from gateway.settings import OpenSearchSettings
from tests.opensearch.node import running_node

_TENANT = 1
_ROUTING = str(_TENANT)
_BATCH = 500


@dataclass(frozen=True)
class Indexed:
    """Tools in an index of the cluster."""

    client: OpenSearchClient
    index: str

    @property
    def clauses(self) -> Sequence[dict[str, object]]:
        return [{"term": {"tenant": tenant_key("bench", _TENANT)}}]

    async def scope(self, terms: Sequence[str]) -> Scope:
        (answer,) = await self.client.search_each(self.index, [corpus_body(self.clauses, terms)], routing=_ROUTING)
        return Scope(self.index, _ROUTING, self.clauses, *read_corpus(answer), read_frequencies(answer, terms))

    async def measuring(
        self, forms: Sequence[ParsedQuery], baseline: CosineBaseline, exact_tools: int
    ) -> ScopeMeasurement:
        scope = await self.scope(sorted({term for form in forms for term in form.terms}))
        return ScopeMeasurement(self.client, scope, forms, baseline, exact_tools)


@asynccontextmanager
async def indexed(client: OpenSearchClient, tools: Sequence[IndexedTool]) -> AsyncIterator[Indexed]:
    """The tools in an index, until the block ends; prints how long that took."""
    vector = tools[0].vector
    assert vector is not None
    space = StoredSpace(1, EmbeddingSpace("bench", "any", len(vector), "", ""))
    name = index_name(client.settings, space.id, uuid.uuid4().hex[:8])
    await client.request("PUT", url_path(name), index_body(client.settings, IndexOwner("bench", 1), space, name))
    writer = BulkWriter(client, name)
    started = time.perf_counter()
    for start in range(0, len(tools), _BATCH):
        await writer.write([operation(tool) for tool in tools[start : start + _BATCH]])
    await client.request("POST", url_path(name, "_refresh"))
    took = time.perf_counter() - started
    print(f"\n{len(tools):,} tools written in {took:.1f} s.", flush=True)
    record(Figure("OpenSearch", "filled", "s", took, "s", len(tools)))
    try:
        yield Indexed(client, name)
    finally:
        await client.request("DELETE", url_path(name))


def operation(tool: IndexedTool) -> BulkOperation:
    """What writes it."""
    document = ToolDocument(
        tenant_key("bench", _TENANT),
        _TENANT,
        tool.tool_id,
        tool.server_id,
        tool.category,
        tool.name,
        tool.vector,
        tool.terms,
        tool.length,
        1,
        0,
        tool.correction,
    )
    return BulkOperation(document.id, _ROUTING, 1, document.body())


def forms_of(catalogue: Catalogue, query: str, vectors: Sequence[np.ndarray]) -> list[ParsedQuery]:
    """A query and its clauses, with the terms that they have in memory."""
    texts = (query, *clauses_of(query))
    return [
        ParsedQuery(terms, vector) for terms, vector in zip(terms_of_each(texts, catalogue.index), vectors, strict=True)
    ]


async def compare(client: OpenSearchClient, labelled: LabelledSet, tools: Sequence[IndexedTool], most: int) -> float:
    """Print nDCG@10 of both; returns by how much they differ."""
    catalogue = labelled.catalogue
    baseline = baselines(catalogue)
    in_memory, in_cluster, rounds, same = [], [], [], 0
    step = max(1, len(labelled.queries) // most)
    chosen = range(0, len(labelled.queries), step)
    async with indexed(client, tools) as found:
        for place in chosen:
            query, vectors, right = labelled.queries[place], labelled.vectors[place], labelled.right[place]
            order = rank(catalogue.signals(query, vectors), baseline).order[:10].tolist()
            in_memory.append(ndcg(order, right))
            measuring = await found.measuring(forms_of(catalogue, query, vectors), baseline, 50_000)
            signals = await measuring.signals()
            best = signals.tool_ids[rank(signals, baseline).order[:10]].tolist()
            in_cluster.append(ndcg(best, right))
            rounds.append(measuring.rounds)
            same += best == order
    of_memory, of_cluster = float(np.mean(in_memory)), float(np.mean(in_cluster))
    print(
        f"| {labelled.name} | {len(chosen)} | {of_memory:.4f} | {of_cluster:.4f} | {same / len(chosen):.2f} | "
        f"{statistics.mean(rounds):.1f} |",
        flush=True,
    )
    record(Figure("OpenSearch", labelled.name, "nDCG@10", of_cluster, "ratio"))
    return abs(of_memory - of_cluster)


def grown(tools: Sequence[IndexedTool], size: int) -> list[IndexedTool]:
    """So many tools: those given, again and again, each a little beside itself."""
    random = np.random.default_rng(5)
    many = []
    for number in range(size):
        tool = tools[number % len(tools)]
        assert tool.vector is not None
        vector = tool.vector + random.normal(scale=0.3 / len(tool.vector) ** 0.5, size=len(tool.vector))
        terms = {**tool.terms, f"copy{number // len(tools)}": 1}
        many.append(
            replace(tool, tool_id=number, position=number, vector=vector.astype(np.float32), terms=terms,
                    server_id=tool.server_id + 1_000 * (number // len(tools)), length=tool.length + 1)
        )  # fmt: skip
    return many


async def time_parts(client: OpenSearchClient, labelled: LabelledSet, tools: list[IndexedTool], most: int) -> None:
    """Print what a search takes by parts: count, either leg, the whole, and by the graph with its recall."""
    vector = tools[0].vector
    assert vector is not None
    index = TenantIndex(len(vector))
    index.upsert(tools)
    catalogue = Catalogue([{}] * len(tools), index, labelled.catalogue.embedding)
    baseline = baselines(catalogue)
    async with indexed(client, tools) as found:
        taken: dict[str, list[float]] = {}
        recall, rounds = [], []
        for place in range(0, len(labelled.queries), max(1, len(labelled.queries) // most)):
            forms = forms_of(catalogue, labelled.queries[place], labelled.vectors[place])
            clock = time.perf_counter()

            def lap(part: str) -> None:
                nonlocal clock
                now = time.perf_counter()
                taken.setdefault(part, []).append((now - clock) * 1_000)
                clock = now

            scope = await found.scope(sorted({term for form in forms for term in form.terms}))
            lap("count")
            first, weights = forms[0], {}
            for term in first.terms:
                weights[term] = inverse_document_frequency(scope.tools, scope.frequencies.get(term, 0)) * (K1 + 1)
            assert first.vector is not None
            await client.search_each(found.index, [cosine_body(found.clauses, first.vector, 512)], routing=_ROUTING)
            lap("cosine leg")
            if weights:
                body = lexical_body(found.clauses, weights, scope.mean_length, 512)
                await client.search_each(found.index, [body], routing=_ROUTING)
            lap("words leg")
            measuring = ScopeMeasurement(client, scope, forms, baseline, len(tools))
            exact = await measuring.signals()
            lap("all measured")
            rounds.append(measuring.rounds)
            near = await ScopeMeasurement(client, scope, forms, baseline, 0).signals()
            lap("by the graph")
            ranked, nearly = rank(exact, baseline).order[:10], rank(near, baseline).order[:10]
            recall.append(len(set(exact.tool_ids[ranked]) & set(near.tool_ids[nearly])) / max(1, len(ranked)))
        cells = " | ".join(f"{statistics.median(times):.1f}" for times in taken.values())
        print(f"| {len(tools):,} | {cells} | {statistics.mean(rounds):.1f} | {np.mean(recall):.3f} |", flush=True)
        for part, times in taken.items():
            record(Figure("OpenSearch", part, "p50", statistics.median(times), "ms", len(tools)))


async def measure(url: str, files: Sequence[Path], sizes: Sequence[int], most: int) -> bool:
    embedding = EMBEDDERS["builtin"]()
    client = OpenSearchClient(
        OpenSearchSettings(urls=(url,), index_prefix=f"bench-{uuid.uuid4().hex[:8]}", replicas=0, timeout_ms=60_000)
    )
    print("| set | queries | nDCG@10 in memory | in OpenSearch | same ten | requests |\n|---|---|---|---|---|---|")
    differences = []
    try:
        for file in files:
            labelled = load_set(file, file.stem, embedding, WEIGHTS)
            tools = indexed_tools(labelled.catalogue.tools, embedding, WEIGHTS)
            differences.append(await compare(client, labelled, tools, most))
        heads = "tools | count | cosine leg | words leg | all measured | by the graph | requests | recall"
        print(f"\np50 in ms:\n\n| {heads} |")
        print("|---|---|---|---|---|---|---|---|")
        for size in sizes:
            await time_parts(client, labelled, grown(tools, size), most)
    finally:
        await client.aclose()
    return max(differences) <= 0.005


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the labelled sets")
    parser.add_argument("--cluster", default="", help="address of a node, as http://127.0.0.1:9200")
    parser.add_argument("--sizes", default="1000,5000", help="numbers of tools that searches are timed with")
    parser.add_argument("--queries", type=int, default=100, help="of each set, at most")
    parser.add_argument("files", nargs="*", type=Path, help="sets in this format, in place of the folder's")
    given = parser.parse_args()
    files = given.files or sorted(given.data.glob("*.json"))
    if not files:
        print(f"There are no sets in {given.data}; name their folder with --data.", file=sys.stderr)
        return 1
    sizes = [int(size) for size in given.sizes.split(",") if size]
    with ExitStack() as stack:
        url = given.cluster
        if not url:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "node"
            url = stack.enter_context(running_node(folder, heap_mb=1024)).url
        return 0 if asyncio.run(measure(url, files, sizes, given.queries)) else 1


if __name__ == "__main__":
    sys.exit(main())
