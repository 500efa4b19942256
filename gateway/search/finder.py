"""Search from end to end: embed, retrieve, score, cut, merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.access.caller import Caller
from gateway.access.tool_names import tools_by_name
from gateway.database.pool import Database
from gateway.embedding.spaces import QueryVector, Spaces
from gateway.errors import EmbeddingError, InvalidInputError
from gateway.search.calibration import Calibration
from gateway.search.catalog_statistics import CatalogStatistics
from gateway.search.fusion import Candidate, fuse
from gateway.search.request import FoundTool, Match, SearchOutcome, SearchRequest
from gateway.search.retriever import CANDIDATE_LIMIT, Retrieved, Retriever, SearchScope
from gateway.search.search_explanation import ExplainedTool, SearchExplanation, StepTimer
from gateway.settings import SearchSettings

_LIMIT_GROWTH = 8
_LARGEST_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class _Scored:
    candidate: Candidate
    score: float


@dataclass(frozen=True, slots=True)
class _QueryResult:
    """What came of one query: `matches` are those that pass, `scored` is all that was looked at."""

    matches: list[Match]
    scored: list[_Scored]
    vector: QueryVector | None
    embedding_error: str


@dataclass(frozen=True, slots=True)
class _SearchResult:
    """What came of a search: `matches` are those of all queries, best first."""

    outcome: SearchOutcome
    matches: list[Match]
    queries: list[_QueryResult]


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
        return (await self._search(caller, request, StepTimer())).outcome

    async def explain(self, caller: Caller, request: SearchRequest, others: int) -> SearchExplanation:
        """The outcome of `find`, with how it came about: of its tools, and of the `others` that came nearest.

        Raises what `find` raises.
        """
        timer = StepTimer()
        result = await self._search(caller, request, timer)
        first = result.queries[0]
        return SearchExplanation(
            result.outcome, _explained(result, others), timer.times, first.vector, first.embedding_error
        )

    async def _search(self, caller: Caller, request: SearchRequest, timer: StepTimer) -> _SearchResult:
        scope = await self._resolve_scope(caller, request)
        timer.lap("sql")
        queries = [await self._search_for(scope, query, timer) for query in request.queries]
        merged: dict[int, Match] = {}
        for position, query in enumerate(queries):
            for match in query.matches:
                merged[match.tool_id] = _merge(merged.get(match.tool_id), match, position)
        best = sorted(merged.values(), key=_best_first)
        timer.lap("score")
        tools = await self._load(caller, best[: request.max_results])
        timer.lap("sql")
        return _SearchResult(SearchOutcome(len(merged), tools, _notice(queries)), best, queries)

    async def _resolve_scope(self, caller: Caller, request: SearchRequest) -> SearchScope:
        scope = SearchScope(caller.tenant_id, caller.role_ids, request.category)
        if request.server is None:
            return scope
        server_id = await self._database.fetchval(
            "visible_server_id", caller.tenant_id, list(caller.role_ids), request.server
        )
        if server_id is None:
            raise InvalidInputError(
                f"server {request.server!r} is none that you can use; leave it out to search all servers.", "server"
            )
        return replace(scope, server_id=server_id)

    async def _search_for(self, scope: SearchScope, query: str, timer: StepTimer) -> _QueryResult:
        vector: QueryVector | None = None
        embedding_error = ""
        try:
            vector = await self._spaces.embed_query(query)
        except EmbeddingError as error:
            embedding_error = error.message
        timer.lap("embed")
        calibration: Calibration | None = Calibration()
        if vector is not None:
            by_cosine = self._settings.mode == "cosine"
            calibration = None if by_cosine else await self._statistics.calibration(scope.tenant_id, vector.stored)
        limit = CANDIDATE_LIMIT
        while True:
            retrieved = await self._retriever.retrieve(scope, query, vector, limit)
            timer.lap("sql")
            scored = _score(retrieved, calibration)
            passing = [_match(each) for each in scored if each.score >= self._settings.threshold]
            timer.lap("score")
            # So many pass that tools beyond the limit may pass too, and are to be counted.
            if len(passing) < limit // 2 or len(scored) < limit or limit >= _LARGEST_LIMIT:
                break
            limit *= _LIMIT_GROWTH
        named = await self._exactly_named(scope, query, scored)
        ids = {match.tool_id for match in named}
        matches = [*named, *(match for match in passing if match.tool_id not in ids)]
        timer.lap("sql")
        return _QueryResult(matches, scored, vector, embedding_error)

    async def _exactly_named(self, scope: SearchScope, query: str, scored: list[_Scored]) -> list[Match]:
        """The tools that go by the query as it stands; in cosine mode their score is still the cosine."""
        name = query.strip()
        if "/" not in name and len(name.split()) != 1:
            return []
        tools = [
            tool
            for tool in await tools_by_name(self._database, scope.tenant_id, name, scope.role_ids)
            if tool.visibility is not None
            and scope.category in (None, tool.category)
            and scope.server_id in (None, tool.server_id)
        ]
        by_id = {each.candidate.tool_id: _match(each) for each in scored}
        named = [by_id.get(tool.id, Match(tool.id, 0.0, None)) for tool in tools]
        cosine = self._settings.mode == "cosine"
        return [replace(match, score=match.score if cosine else 1.0, is_named=True) for match in named]

    async def _load(self, caller: Caller, matches: list[Match]) -> tuple[FoundTool, ...]:
        if not matches:
            return ()
        rows = await self._database.fetch(
            "result_tools", caller.tenant_id, list(caller.role_ids), [match.tool_id for match in matches]
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


def _score(retrieved: Retrieved, calibration: Calibration | None) -> list[_Scored]:
    """The score of each candidate: the cosine where there is no calibration to read it by."""
    if calibration is None:
        scores = [max(candidate.combined or 0.0, 0.0) for candidate in retrieved.candidates]
    else:
        scores = fuse(retrieved.candidates, calibration, retrieved.lexical_ceiling, retrieved.tool_count)
    pairs = zip(retrieved.candidates, scores, strict=True)
    return [_Scored(candidate, min(score, 1.0)) for candidate, score in pairs]


def _match(scored: _Scored) -> Match:
    return Match(scored.candidate.tool_id, scored.score, scored.candidate.combined)


def _best_first(match: Match) -> tuple[bool, float, float, int]:
    return not match.is_named, -match.score, -(match.similarity or 0.0), match.tool_id


def _merge(before: Match | None, match: Match, position: int) -> Match:
    if before is None:
        return replace(match, query_positions=(position,))
    best = min(match, before, key=_best_first)
    return replace(best, query_positions=(*before.query_positions, position))


def _notice(queries: Sequence[_QueryResult]) -> str:
    error = next((query.embedding_error for query in queries if query.embedding_error), "")
    return error and f"Semantic search is unavailable, these results are by words alone: {error}"


def _explained(result: _SearchResult, others: int) -> tuple[ExplainedTool, ...]:
    """The tools of the outcome in its order, then those beyond it and those cut, best first, at most `others`."""
    scored: dict[int, _Scored] = {}
    for each in (each for query in result.queries for each in query.scored):
        best = scored.get(each.candidate.tool_id)
        if best is None or best.score < each.score:
            scored[each.candidate.tool_id] = each

    def candidate_of(match: Match) -> Candidate | None:
        each = scored.get(match.tool_id)
        return None if each is None else each.candidate

    shown = [tool.match for tool in result.outcome.tools]
    shown_ids = {match.tool_id for match in shown}
    beyond = [match for match in result.matches if match.tool_id not in shown_ids]
    match_ids = {match.tool_id for match in result.matches}
    cut = sorted((_match(each) for tool_id, each in scored.items() if tool_id not in match_ids), key=_best_first)
    explained = [ExplainedTool(match.tool_id, "found", match.score, candidate_of(match)) for match in shown]
    rest = [ExplainedTool(match.tool_id, "beyond", match.score, candidate_of(match)) for match in beyond]
    rest += [ExplainedTool(match.tool_id, "cut", match.score, candidate_of(match)) for match in cut]
    return (*explained, *rest[:others])
