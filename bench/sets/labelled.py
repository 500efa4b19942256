"""Labelled sets: `{"tools": [{"server", "name", "description", "inputSchema"}], "queries": [{"query", "relevant"}]}`,
where `relevant` holds the positions of the right tools.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway.catalog.text import build_tool_texts
from gateway.catalog.tool import ToolDefinition
from gateway.embedding.embedder import Vectors
from gateway.search.index.tenant_index import IndexedTool, TenantIndex
from gateway.search.query.clauses import clauses_of
from gateway.search.query.parsed_query import ParsedQuery, terms_of_each
from gateway.search.ranking import Signals

CACHE = Path(__file__).parents[2] / ".bench" / "vectors"

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Embedding:
    """A model for documents and queries, and a name that its vectors are kept under."""

    name: str
    documents: Embed
    queries: Embed

    def of_documents(self, texts: Sequence[str]) -> Vectors:
        return self._kept("documents", texts, self.documents)

    def of_queries(self, texts: Sequence[str]) -> Vectors:
        return self._kept("requests", texts, self.queries)

    def _kept(self, kind: str, texts: Sequence[str], embed: Embed) -> Vectors:
        digest = hashlib.sha256("\x00".join([self.name, kind, *texts]).encode()).hexdigest()[:32]
        file = CACHE / f"{digest}.npy"
        if file.is_file():
            kept: Vectors = np.load(file)
            return kept
        vectors = embed(texts)
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(file, vectors)
        return vectors


@dataclass(frozen=True)
class Catalogue:
    """Tools in an index as the gateway builds it; ids and positions are places in `tools`, counted from 0."""

    tools: list[dict[str, Any]]
    index: TenantIndex
    embedding: Embedding

    def signals(self, query: str, vectors: Sequence[Any], subset: Any = None) -> Signals:
        """Of a query and its clauses, whose `vectors` are in the same order; within `subset` (bool by position)."""
        visible = np.ones(len(self.tools), np.bool_) if subset is None else subset
        texts = (query, *clauses_of(query))
        forms = [
            ParsedQuery(terms, None if vector is None else vector)
            for terms, vector in zip(terms_of_each(texts, self.index), vectors, strict=True)
        ]
        return self.index.signals(visible, forms)


@dataclass(frozen=True)
class LabelledSet:
    """Queries against a catalogue. `vectors` has, for each query, its own vector and those of its clauses."""

    name: str
    catalogue: Catalogue
    queries: list[str]
    right: list[frozenset[int]]
    vectors: list[list[Vectors]]


def catalogue_of(tools: list[dict[str, Any]], embedding: Embedding, weights: tuple[float, float, float]) -> Catalogue:
    """An index over `tools`; `weights` are those of the combined, name and description vectors."""
    indexed = indexed_tools(tools, embedding, weights)
    vector = indexed[0].vector
    assert vector is not None
    index = TenantIndex(len(vector))
    index.upsert(indexed)
    return Catalogue(tools, index, embedding)


def indexed_tools(
    tools: list[dict[str, Any]], embedding: Embedding, weights: tuple[float, float, float]
) -> list[IndexedTool]:
    """The tools as an index takes them in, each with its place as its id."""
    definitions = [ToolDefinition(tool["name"], json.dumps(tool), b"") for tool in tools]
    texts = [build_tool_texts(tool["server"], definition) for tool, definition in zip(tools, definitions, strict=True)]
    combined, name, description = (
        embedding.of_documents([getattr(text, kind) for text in texts]) for kind in ("combined", "name", "description")
    )
    ranking = weights[0] * combined + weights[1] * name + weights[2] * description
    servers = {server: number for number, server in enumerate(dict.fromkeys(tool["server"] for tool in tools))}
    return [
        IndexedTool(
            tool_id=position,
            position=position,
            server_id=servers[tool["server"]],
            category="other",
            exposed_name=f"tool_{position}",
            name=tool["name"],
            terms=(terms := text.terms),
            length=terms.total(),
            vector=ranking[position].astype(np.float32),
            size_bytes=len(json.dumps(tool)),
        )
        for position, (tool, text) in enumerate(zip(tools, texts, strict=True))
    ]


def queries_of(name: str, catalogue: Catalogue, queries: Sequence[str], right: Sequence[Sequence[int]]) -> LabelledSet:
    """These queries against that catalogue."""
    texts = [(query, *clauses_of(query)) for query in queries]
    flat = iter(catalogue.embedding.of_queries([text for group in texts for text in group]))
    vectors = [[next(flat) for _ in group] for group in texts]
    return LabelledSet(name, catalogue, list(queries), [frozenset(positions) for positions in right], vectors)


def load_set(path: Path, name: str, embedding: Embedding, weights: tuple[float, float, float]) -> LabelledSet:
    """The set in a file. Raises FileNotFoundError."""
    content = json.loads(path.read_text(encoding="utf-8"))
    catalogue = catalogue_of(content["tools"], embedding, weights)
    queries = content["queries"]
    return queries_of(name, catalogue, [q["query"] for q in queries], [q["relevant"] for q in queries])
