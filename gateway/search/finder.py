"""Search from end to end: embed, ask the index, rank, score, rerank, cut, merge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gateway.access.caller import Caller
from gateway.database.pool import Database
from gateway.embedding.local.builtin import knows_english_only
from gateway.embedding.space_store import StoredSpace
from gateway.embedding.spaces import QueryVectors, Spaces
from gateway.errors import EmbeddingError, InvalidInputError
from gateway.search.clauses import clauses_of
from gateway.search.deprecation import living_first
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.merging import count_passing, merge
from gateway.search.query_form import MOST_CORRECTED, QueryForm, terms_of_each
from gateway.search.query_language import is_latin
from gateway.search.query_result import QueryResult
from gateway.search.ranking import Signals, rank
from gateway.search.request import FoundTool, Match, SearchOutcome, SearchRequest
from gateway.search.rerank.reranking import CANDIDATES, Reranking
from gateway.search.score import NAMEABLE, score_of, scores_of
from gateway.search.search_explanation import (
    ExplainedTool,
    MeasuredTool,
    SearchExplanation,
    StepTimer,
    ToolOutcome,
)
from gateway.settings import SearchSettings

MOST_MORE = 8
"""So many tools at most are named beside those that are shown."""

_NEAREST = 5
"""So many are named where nothing is shown, however little speaks for them."""

_ASK_IN_ENGLISH = "The search understands English best; ask in English to find more."

_BY_STANDBY = "The built-in model answered in place of the embedder in use"

_SPARE = 20
"""So many of the best tools take part beyond those that an answer has room for: living siblings of deprecated ones, and
tools that go while they are looked up."""


@dataclass(frozen=True, slots=True)
class _SearchResult:
    """What came of a search: `matches` are the best of all queries, best first, whether they pass or not."""

    outcome: SearchOutcome
    matches: list[Match]
    queries: list[QueryResult]


class Finder:
    """Finds tools for callers."""

    def __init__(
        self,
        database: Database,
        spaces: Spaces,
        index: ToolIndex,
        settings: SearchSettings,
        reranking: Reranking | None = None,
    ) -> None:
        """Without `reranking` the order is that of the index."""
        self._database = database
        self._spaces = spaces
        self._index = index
        self._settings = settings
        self._reranking = reranking

    async def find(self, caller: Caller, request: SearchRequest) -> SearchOutcome:
        """The tools that this caller may find for this request, best first.

        Raises InvalidInputError for a `server` of which the caller can find nothing, and what the database raises.
        An embedder that is down is no error: the outcome is then by words alone and its `notice` says so. Nor is a
        reranker that fails: then they stay in their first order.
        """
        return (await self._search(caller, request, StepTimer(), request.max_results + MOST_MORE + _SPARE)).outcome

    async def explain(self, caller: Caller, request: SearchRequest, others: int) -> SearchExplanation:
        """The outcome of `find`, with how it came about: of its tools, and of the `others` that came nearest.

        Raises what `find` raises.
        """
        timer = StepTimer()
        result = await self._search(caller, request, timer, request.max_results + others + _SPARE)
        first = result.queries[0]
        return SearchExplanation(
            result.outcome,
            _explained(result, others),
            timer.times,
            first.vectors,
            first.embedding_error,
            None if first.reranked is None else first.reranked.report,
        )

    async def _search(self, caller: Caller, request: SearchRequest, timer: StepTimer, best: int) -> _SearchResult:
        """The `best` take part."""
        with self._index.pinned(caller.tenant_id):
            return await self._search_pinned(caller, request, timer, best)

    async def _search_pinned(
        self, caller: Caller, request: SearchRequest, timer: StepTimer, best: int
    ) -> _SearchResult:
        scope = await self._resolve_scope(caller, request)
        timer.lap("index")
        corrected = max(1, MOST_CORRECTED // len(request.queries))
        queries = [await self._search_for(scope, query, corrected, timer) for query in request.queries]
        if self._reranking is not None:
            ranking = (
                self._rerank(self._reranking, scope, *each) for each in zip(request.queries, queries, strict=True)
            )
            queries = await asyncio.gather(*ranking)
            timer.lap("rerank")
        matches = merge(queries, best, self._settings)
        total = count_passing(queries, matches, self._settings.threshold)
        timer.lap("score")
        space = next((result.space for result in queries if result.space is not None), None)
        passing = [match for match in matches if match.is_named or match.score >= self._settings.threshold]
        chosen = {match.tool_id for match in passing}
        below = [match for match in matches if match.tool_id not in chosen]
        nameable = [match for match in below if self._is_nameable(match)]
        wanted = [*passing, *nameable, *below[:_NEAREST]]
        cards = await self._index.cards(scope, space, [match.tool_id for match in wanted])
        if self._settings.mode == "hybrid":
            # A score that is the cosine stays with its tool. What passes does not give way to what does not.
            passing = living_first(passing, cards)
            rest = [match for match in below if not self._is_nameable(match)]
            matches = [*passing, *living_first(nameable, cards), *rest]
        tools = _found(passing[: request.max_results], cards)
        shown = {tool.match.tool_id for tool in tools}
        more = self._more([match for match in matches if match.tool_id not in shown], bool(tools))
        outcome = SearchOutcome(total, tools, _notice(request, queries), _found(more, cards))
        timer.lap("index")
        return _SearchResult(outcome, matches, queries)

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

    async def _search_for(self, scope: SearchScope, query: str, most_corrected: int, timer: StepTimer) -> QueryResult:
        texts = (query, *clauses_of(query))
        vectors: QueryVectors | None = None
        space: StoredSpace | None = None
        embedding_error = ""
        try:
            vectors = await self._spaces.embed_queries(texts)
            space = vectors.stored
        except EmbeddingError as error:
            embedding_error = error.message
            # Its index, without asking for its vectors: there is no need of another one for words alone.
            space = await self._spaces.known_active_space()
        timer.lap("embed")
        vocabulary = await self._index.vocabulary(scope, space, texts, most_corrected)
        forms = [
            QueryForm(terms, None if vectors is None else vectors.vectors[place])
            for place, terms in enumerate(terms_of_each(texts, vocabulary, most_corrected))
        ]
        signals = await self._index.signals(scope, space, forms)
        # Which asks for vectors of its own.
        background = await self._index.background(scope.tenant_id, None if vectors is None else space)
        named = await self._index.named(scope, space, query.strip())
        # A tool may have come or become visible between the two.
        named = [tool_id for tool_id in named if (signals.tool_ids == tool_id).any()]
        timer.lap("index")
        if signals.cosines is not None and self._scores_are_cosines(signals):
            scores = np.clip(np.nan_to_num(signals.cosines[0]), 0.0, 1.0)
            order = np.lexsort((signals.tool_ids, -scores))
        else:
            ranking = rank(signals, background)
            scores, order = scores_of(signals, ranking, background), ranking.order
        timer.lap("score")
        return QueryResult(signals, scores, scores, order, named, space, vectors, embedding_error)

    async def _rerank(self, reranking: Reranking, scope: SearchScope, query: str, result: QueryResult) -> QueryResult:
        """The best of a result in the order of the reranker; unchanged where it names a tool, or has none to order."""
        if result.named:
            return result
        scores_are_cosines = self._scores_are_cosines(result.signals)
        positions = result.order[:CANDIDATES].tolist()
        if scores_are_cosines:
            # What is cut stays cut, and beside it there is nothing that would be shown.
            positions = [position for position in positions if result.scores[position] >= self._settings.threshold]
        tool_ids = [int(result.signals.tool_ids[position]) for position in positions]
        cards = await self._index.cards(scope, result.space, tool_ids)
        # A tool may be removed or denied between the two.
        places = [place for place, tool_id in enumerate(tool_ids) if tool_id in cards]
        if len(places) < 2:
            return result
        report = await reranking.rank(query, [cards[tool_ids[place]] for place in places])
        return result.rerank(places, report, scores_are_cosines=scores_are_cosines)

    def _scores_are_cosines(self, signals: Signals) -> bool:
        return self._settings.mode == "cosine" and signals.cosines is not None

    def _more(self, others: Sequence[Match], something_is_shown: bool) -> list[Match]:
        """The next best that are worth a line; the nearest in any case where nothing is shown."""
        if self._settings.mode == "cosine":
            return []
        if not something_is_shown:
            return list(others[:_NEAREST])
        return [match for match in others if self._is_nameable(match)][:MOST_MORE]

    @staticmethod
    def _is_nameable(match: Match) -> bool:
        return match.score >= score_of(NAMEABLE)


def _found(matches: Sequence[Match], cards: Mapping[int, ToolCard]) -> tuple[FoundTool, ...]:
    # A tool may be removed or denied between the two.
    return tuple(
        FoundTool(
            match=match,
            exposed_name=card.exposed_name,
            name=card.name,
            server=card.server,
            category=card.category,
            title=card.title,
            description=card.description,
            input_schema_json=card.input_schema_json,
            annotations_json=card.annotations_json,
            icons_json=card.icons_json,
        )
        for match in matches
        if (card := cards.get(match.tool_id)) is not None
    )


def _notice(request: SearchRequest, queries: Sequence[QueryResult]) -> str:
    notices = []
    if error := next((query.embedding_error for query in queries if query.embedding_error), ""):
        notices.append(f"Semantic search is unavailable, these results are by words alone: {error}")
    reports = (query.reranked.report for query in queries if query.reranked is not None)
    if failure := next((report.failure for report in reports if report.failure), ""):
        notices.append(f"Reranking is unavailable, these results are in the order that they had before: {failure}.")
    if notices:
        return " ".join(notices)
    instead = next((query.vectors.standby_for for query in queries if query.vectors and query.vectors.standby_for), "")
    if instead:
        return f"{_BY_STANDBY}: {instead}"
    for text, result in zip(request.queries, queries, strict=True):
        if result.space is not None and knows_english_only(result.space.space) and not is_latin(text):
            return _ASK_IN_ENGLISH
    return ""


def _explained(result: _SearchResult, others: int) -> tuple[ExplainedTool, ...]:
    """The tools of the outcome in its order, then those beyond it and those cut, best first, at most `others`."""
    shown = {tool.match.tool_id: tool.match for tool in result.outcome.tools}
    rest = [match for match in result.matches if match.tool_id not in shown]
    passing = result.outcome.total_found - len(shown)
    explained = [_explain(result, match, "found") for match in shown.values()]
    explained += [
        _explain(result, match, "beyond" if place < passing else "cut") for place, match in enumerate(rest[:others])
    ]
    return tuple(explained)


def _explain(result: _SearchResult, match: Match, outcome: ToolOutcome) -> ExplainedTool:
    moved = (query.moved_from(match.tool_id) for query in result.queries)
    moved_from = next((place for place in moved if place is not None), None)
    return ExplainedTool(match.tool_id, outcome, match.score, _measured(result, match.tool_id), moved_from)


def _measured(result: _SearchResult, tool_id: int) -> MeasuredTool | None:
    """What the query that a tool fits best measured of it."""
    best: tuple[float, MeasuredTool] | None = None
    for query in result.queries:
        position = query.position_of(tool_id)
        if position is None:
            continue
        (match,) = query.matches(np.array([position]), 0, 0.0)
        if best is None or match.score > best[0]:
            best = (match.score, MeasuredTool(match.similarity, float(query.signals.lexical[0, position])))
    return None if best is None else best[1]
