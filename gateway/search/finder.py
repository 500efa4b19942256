"""Search from end to end: embed, retrieve, score, cut, merge."""

from __future__ import annotations

from dataclasses import replace

from gateway.access.caller import Caller
from gateway.database.pool import Database
from gateway.embedding.spaces import QueryVector, Spaces
from gateway.errors import EmbeddingError, InvalidInputError
from gateway.search.calibrate import Calibration
from gateway.search.catalog_statistics import CatalogStatistics
from gateway.search.fuse import fuse
from gateway.search.request import FoundTool, Match, SearchOutcome, SearchRequest
from gateway.search.retrieve import CANDIDATES, Retriever, SearchScope
from gateway.settings import SearchSettings

_WIDER = 8
_WIDEST = 100_000


class Finder:
    """Finds tools for callers."""

    def __init__(
        self, database: Database, spaces: Spaces, statistics: CatalogStatistics, settings: SearchSettings
    ) -> None:
        self._database = database
        self._spaces = spaces
        self._statistics = statistics
        self._retriever = Retriever(database, statistics)
        self._settings = settings

    async def find(self, caller: Caller, request: SearchRequest) -> SearchOutcome:
        """The tools that this caller may find for this request, best first.

        Raises InvalidInputError for a `server` of which the caller can find nothing, and what the database raises.
        An embedder that is down is no error: the outcome is then by words alone and its `notice` says so.
        """
        narrowing = await self._narrow(caller, request)
        merged: dict[int, Match] = {}
        notice = ""
        for position, query in enumerate(request.queries):
            matches, told = await self._search(narrowing, query)
            notice = notice or told
            for match in matches:
                merged[match.tool_id] = _merge(merged.get(match.tool_id), match, position)
        best = sorted(merged.values(), key=_best_first)
        shown = await self._show(caller, best[: request.max_results])
        return SearchOutcome(len(merged), shown, notice)

    async def _narrow(self, caller: Caller, request: SearchRequest) -> SearchScope:
        narrowing = SearchScope(caller.tenant_id, caller.role_ids, request.category)
        if request.server is None:
            return narrowing
        server_id = await self._database.fetchval(
            "server_filter", caller.tenant_id, list(caller.role_ids), request.server
        )
        if server_id is None:
            raise InvalidInputError(
                f"server {request.server!r} is none that you can use; leave it out to search all servers."
            )
        return replace(narrowing, server_id=server_id)

    async def _search(self, narrowing: SearchScope, query: str) -> tuple[list[Match], str]:
        vector: QueryVector | None = None
        notice = ""
        try:
            vector = await self._spaces.embed_query(query)
        except EmbeddingError as error:
            notice = f"Semantic search is unavailable, these results are by words alone: {error.message}"
        limit = CANDIDATES
        while True:
            scored = await self._score(narrowing, query, vector, limit)
            matches = [match for match in scored if match.score >= self._settings.threshold]
            # So many pass that tools beyond the limit may pass too, and are to be counted.
            if len(matches) < limit // 2 or len(scored) < limit or limit >= _WIDEST:
                break
            limit *= _WIDER
        named = await self._exactly_named(narrowing, query, scored)
        ids = {match.tool_id for match in named}
        return [*named, *(match for match in matches if match.tool_id not in ids)], notice

    async def _score(self, narrowing: SearchScope, query: str, vector: QueryVector | None, limit: int) -> list[Match]:
        retrieved = await self._retriever.retrieve(narrowing, query, vector, limit)
        candidates = retrieved.candidates
        if vector is not None and self._settings.mode == "cosine":
            scores = [max(candidate.combined or 0.0, 0.0) for candidate in candidates]
        else:
            calibration = Calibration()
            if vector is not None:
                calibration = await self._statistics.calibration(narrowing.tenant_id, vector.stored)
            tools = (await self._statistics.lexical(narrowing.tenant_id)).tool_count
            scores = fuse(candidates, calibration, retrieved.lexical_ceiling, tools)
        return [
            Match(candidate.tool_id, min(score, 1.0), candidate.combined)
            for candidate, score in zip(candidates, scores, strict=True)
        ]

    async def _exactly_named(self, narrowing: SearchScope, query: str, scored: list[Match]) -> list[Match]:
        """The tools that go by the query as it stands; in cosine mode their score is still the cosine."""
        name = query.strip()
        if "/" not in name and len(name.split()) != 1:
            return []
        server, _, tool = name.partition("/")
        rows = await self._database.fetch(
            "named_tools",
            narrowing.tenant_id,
            list(narrowing.role_ids),
            narrowing.category,
            narrowing.server_id,
            name,
            server,
            tool,
        )
        by_id = {match.tool_id: match for match in scored}
        named = [by_id.get(row["id"], Match(row["id"], 0.0, None)) for row in rows]
        cosine = self._settings.mode == "cosine"
        return [replace(match, score=match.score if cosine else 1.0, named=True) for match in named]

    async def _show(self, caller: Caller, matches: list[Match]) -> tuple[FoundTool, ...]:
        if not matches:
            return ()
        rows = await self._database.fetch(
            "found_tools", caller.tenant_id, list(caller.role_ids), [match.tool_id for match in matches]
        )
        by_id = {row["id"]: row for row in rows}
        return tuple(
            FoundTool(
                match=match,
                exposed_name=row["exposed_name"],
                name=row["name"],
                server=row["server_name"],
                category=row["category"],
                title=row["title"],
                description=row["description"],
                input_schema_json=row["input_schema"],
                annotations_json=row["annotations"],
                icons_json=row["icons"],
            )
            for match in matches
            # A tool may be removed or denied between the two statements.
            if (row := by_id.get(match.tool_id)) is not None
        )


def _best_first(match: Match) -> tuple[bool, float, float, int]:
    return not match.named, -match.score, -(match.similarity or 0.0), match.tool_id


def _merge(before: Match | None, match: Match, position: int) -> Match:
    if before is None:
        return replace(match, queries=(position,))
    best = min(match, before, key=_best_first)
    return replace(best, queries=(*before.queries, position))
