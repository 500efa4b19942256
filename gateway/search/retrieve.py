"""Candidates of a query, from one SQL statement in which visibility stands before every limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.catalog.text import lexical_text
from gateway.database.pool import Database
from gateway.embedding.spaces import QueryVector
from gateway.search.candidate import Candidate
from gateway.search.catalog_statistics import CatalogStatistics

CANDIDATES = 60


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Whose search it is and what it is narrowed to."""

    tenant_id: int
    role_ids: tuple[int, ...]
    category: str | None = None
    server_id: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Candidates in no order; `lexical_ceiling` is the BM25 of a tool that had every word of the query, at its most."""

    candidates: tuple[Candidate, ...]
    lexical_ceiling: float


class Retriever:
    """Fetches candidates."""

    def __init__(self, database: Database, statistics: CatalogStatistics) -> None:
        self._database = database
        self._statistics = statistics

    async def retrieve(
        self, narrowing: SearchScope, query: str, vector: QueryVector | None, limit: int = CANDIDATES
    ) -> Retrieved:
        """The `limit` nearest and the `limit` best by words among visible tools; without a vector by words alone."""
        lexical = await self._statistics.lexical(narrowing.tenant_id)
        visible = await self._statistics.visible_tools(narrowing.tenant_id, narrowing.role_ids)
        arguments: list[Any] = [
            narrowing.tenant_id,
            visible.bitmap,
            narrowing.category,
            narrowing.server_id,
            lexical_text(query),
            float(lexical.tool_count),
            lexical.mean_length,
            limit,
        ]
        if vector is None:
            rows = await self._database.fetch("search_lexical", *arguments)
        else:
            narrowed = narrowing.category is not None or narrowing.server_id is not None
            name = "search_narrowed" if narrowed else "search_indexed"
            arguments.append(vector.vector)
            # Comparing few tools is faster than walking the index, and it is exact.
            if visible.ids is not None:
                name = "search_exact"
                arguments.append(visible.ids)
            rows = await self._database.fetch(
                name, *arguments, space=vector.stored.id, dimensions=vector.stored.space.dimensions
            )
        return Retrieved(
            tuple(
                Candidate(row["tool_id"], row["combined"], row["name"], row["description"], row["lexical"])
                for row in rows
            ),
            rows[0]["lexical_ceiling"] if rows else 0.0,
        )
