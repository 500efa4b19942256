"""Candidates of a query, from one SQL statement in which visibility stands before every limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.catalog.text import lexical_text
from gateway.database.pool import Database
from gateway.embedding.spaces import QueryVector
from gateway.search.bm25 import K1, B
from gateway.search.catalog_statistics import CatalogStatistics
from gateway.search.fusion import Candidate

CANDIDATE_LIMIT = 60


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Whose search it is, and to what category and server it is limited."""

    tenant_id: int
    role_ids: tuple[int, ...]
    category: str | None = None
    server_id: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Candidates in no order.

    `lexical_ceiling` is the BM25 of a tool that had every word of the query, at its most, `tool_count` the number of
    tools that words were counted over.
    """

    candidates: tuple[Candidate, ...]
    lexical_ceiling: float
    tool_count: int


class Retriever:
    """Fetches candidates."""

    def __init__(self, database: Database, statistics: CatalogStatistics) -> None:
        self._database = database
        self._statistics = statistics

    async def retrieve(
        self, scope: SearchScope, query: str, vector: QueryVector | None, limit: int = CANDIDATE_LIMIT
    ) -> Retrieved:
        """The `limit` nearest and the `limit` best by words among visible tools; without a vector by words alone."""
        lexical = await self._statistics.lexical(scope.tenant_id)
        visible = await self._statistics.visible_tools(scope.tenant_id, scope.role_ids)
        arguments: list[Any] = [
            scope.tenant_id,
            visible.bitmap,
            scope.category,
            scope.server_id,
            lexical_text(query),
            float(lexical.tool_count),
            lexical.mean_length,
            K1,
            B,
            limit,
        ]
        if vector is None:
            rows = await self._database.fetch("search_lexical", *arguments)
        else:
            is_limited = scope.category is not None or scope.server_id is not None
            name = "search_limited" if is_limited else "search_indexed"
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
            lexical.tool_count,
        )
