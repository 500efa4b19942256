"""Search from end to end: embed, retrieve, score, cut, merge."""

from __future__ import annotations

from dataclasses import replace

from gateway.access.caller import Caller
from gateway.database.pool import Database
from gateway.embedding.spaces import QueryVector, Spaces
from gateway.errors import EmbeddingError, InvalidInputError
from gateway.search.calibrate import Calibration
from gateway.search.fuse import fuse
from gateway.search.request import FoundTool, Match, SearchOutcome, SearchRequest
from gateway.search.retrieve import CANDIDATES, Narrowing, Retriever
from gateway.search.scope import Scopes
from gateway.settings import SearchSettings

_WIDER = 8
_WIDEST = 100_000


class Finder:
    """Finds tools for callers."""

    def __init__(self, database: Database, spaces: Spaces, scopes: Scopes, settings: SearchSettings) -> None:
        self._database = database
        self._spaces = spaces
        self._scopes = scopes
        self._retriever = Retriever(database, scopes)
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
        best = sorted(merged.values(), key=lambda match: (-match.score, -(match.similarity or 0.0), match.tool_id))
        shown = await self._show(caller.tenant_id, best[: request.max_results])
        return SearchOutcome(len(merged), shown, notice)

    async def _narrow(self, caller: Caller, request: SearchRequest) -> Narrowing:
        narrowing = Narrowing(caller.tenant_id, caller.role_ids, request.category)
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

    async def _search(self, narrowing: Narrowing, query: str) -> tuple[list[Match], str]:
        vector: QueryVector | None = None
        notice = ""
        try:
            vector = await self._spaces.embed_query(query)
        except EmbeddingError as error:
            notice = f"Semantic search is unavailable, these results are by words alone: {error.message}"
        limit = CANDIDATES
        while True:
            matches, more = await self._score(narrowing, query, vector, limit)
            # As many as were asked for pass: tools beyond the limit may pass too, and are to be counted.
            if not more or limit >= _WIDEST:
                break
            limit *= _WIDER
        return await self._exactly_named_first(narrowing, query, matches), notice

    async def _score(
        self, narrowing: Narrowing, query: str, vector: QueryVector | None, limit: int
    ) -> tuple[list[Match], bool]:
        retrieved = await self._retriever.retrieve(narrowing, query, vector, limit)
        candidates = retrieved.candidates
        if vector is not None and self._settings.mode == "cosine":
            scores = [max(candidate.combined or 0.0, 0.0) for candidate in candidates]
        else:
            calibration = Calibration()
            if vector is not None:
                calibration = await self._scopes.calibration(narrowing.tenant_id, vector.stored)
            tools = (await self._scopes.corpus(narrowing.tenant_id)).tools
            scores = fuse(candidates, calibration, retrieved.lexical_ceiling, tools)
        matches = [
            Match(candidate.tool_id, min(score, 1.0), candidate.combined)
            for candidate, score in zip(candidates, scores, strict=True)
            if score >= self._settings.threshold
        ]
        return matches, len(matches) >= limit

    async def _exactly_named_first(self, narrowing: Narrowing, query: str, matches: list[Match]) -> list[Match]:
        if len(query.split()) != 1:
            return matches
        rows = await self._database.fetch(
            "named_tools",
            narrowing.tenant_id,
            list(narrowing.role_ids),
            narrowing.category,
            narrowing.server_id,
            query.strip(),
        )
        named = {row["id"] for row in rows}
        similarity = {match.tool_id: match.similarity for match in matches}
        first = [Match(tool_id, 1.0, similarity.get(tool_id)) for tool_id in named]
        return first + [match for match in matches if match.tool_id not in named]

    async def _show(self, tenant_id: int, matches: list[Match]) -> tuple[FoundTool, ...]:
        if not matches:
            return ()
        rows = await self._database.fetch("found_tools", tenant_id, [match.tool_id for match in matches])
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
            # A tool may be removed between the two statements.
            if (row := by_id.get(match.tool_id)) is not None
        )


def _merge(before: Match | None, match: Match, position: int) -> Match:
    if before is None:
        return replace(match, queries=(position,))
    best = match if match.score > before.score else before
    return replace(best, queries=(*before.queries, position))
