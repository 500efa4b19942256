"""Search from end to end: embed, ask the index, rank, score, rerank, cut, merge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gateway.access.caller import Caller
from gateway.catalog.overrides.profile_overrides import ProfileOverrides
from gateway.catalog.tool_override import ToolOverride
from gateway.database.pool import Database
from gateway.embedding.local.builtin import knows_english_only
from gateway.embedding.local.static_model import BUILTIN_PROVIDER
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import InvalidInputError
from gateway.search.demotion import demote_deprecated
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.learning.learnt_effect import learnt_effects
from gateway.search.merging import count_passing, merge
from gateway.search.outcome_cache import OutcomeCache, SearchState, search_state
from gateway.search.query.embedded_query import EmbeddedQuery, embed_query
from gateway.search.query.parsed_query import MAX_CORRECTED, ParsedQuery, terms_of_each
from gateway.search.query.query_language import is_latin
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
from gateway.telemetry.tracing import span

MAX_MORE = 8
"""So many tools at most are named beside those that are shown."""

_NEAREST = 5
"""So many are named where nothing is shown, however little speaks for them."""

_NAMEABLE_SCORE = score_of(NAMEABLE)

_ASK_IN_ENGLISH = "The search understands English best; ask in English to find more."

_BY_ANOTHER = "answered in place of the embedder in use"

_SPARE = 20
"""So many of the best tools take part beyond those that an answer has room for: living siblings of deprecated ones, and
tools that go while they are looked up."""


@dataclass(frozen=True, slots=True)
class _SearchResult:
    """What came of a search: `matches` are the best of all queries, best first, whether they pass or not."""

    outcome: SearchOutcome
    matches: list[Match]
    queries: list[QueryResult]


@dataclass(frozen=True, slots=True)
class _PreparedSearch:
    """All that is known before the index is asked. `overrides` are those of the caller's profile, by tool id."""

    scope: SearchScope
    request: SearchRequest
    queries: Sequence[EmbeddedQuery]
    overrides: Mapping[int, ToolOverride]
    timer: StepTimer


class Finder:
    """Finds tools for callers."""

    def __init__(
        self,
        database: Database,
        spaces: Spaces,
        index: ToolIndex,
        settings: SearchSettings,
        reranking: Reranking | None = None,
        overrides: ProfileOverrides | None = None,
    ) -> None:
        """Without `reranking` the order is that of the index. `overrides` are what profiles call otherwise."""
        self._database = database
        self._spaces = spaces
        self._index = index
        self._settings = settings
        self._reranking = reranking
        self._overrides = overrides
        self._outcomes = OutcomeCache()

    async def find(self, caller: Caller, request: SearchRequest, space: StoredSpace | None = None) -> SearchOutcome:
        """The tools that this caller may find for this request, best first.

        With `space`, as that one answers, whichever serves, and raising EmbeddingError where it does not.

        Raises InvalidInputError for a `server` of which the caller can find nothing, and what the database raises.
        An embedder that is down is no error: the outcome is then by words alone and its `notice` says so. Nor is a
        reranker that fails: then they stay in their first order.
        """
        with (
            span("search", attributes={"modelgate.queries": len(request.queries)}),
            self._index.pinned(caller.tenant_id),
        ):
            asked = await self._prepare(caller, request, StepTimer(), space)
            before = await self._state(asked)
            known = None if before is None else self._outcomes.get(request, before)
            if known is not None:
                return known
            outcome = (await self._search(asked, request.max_results + MAX_MORE + _SPARE)).outcome
            if before is not None and before == await self._state(asked):
                self._outcomes.store(request, before, outcome)
            return outcome

    async def explain(self, caller: Caller, request: SearchRequest, others: int) -> SearchExplanation:
        """The outcome of `find`, with how it came about: of its tools, and of the `others` that came nearest.

        Raises what `find` raises.
        """
        timer = StepTimer()
        with self._index.pinned(caller.tenant_id):
            asked = await self._prepare(caller, request, timer)
            result = await self._search(asked, request.max_results + others + _SPARE)
            first = result.queries[0]
            explained = await self._with_effects(asked.scope, first, _explained(result, others))
        return SearchExplanation(
            result.outcome,
            explained,
            timer.times,
            first.vectors,
            first.embedding_error,
            None if first.reranked is None else first.reranked.report,
        )

    async def _with_effects(
        self, scope: SearchScope, result: QueryResult, explained: Sequence[ExplainedTool]
    ) -> tuple[ExplainedTool, ...]:
        """The same with what examples have made of the scores."""
        baseline = await self._index.baseline(scope.tenant_id, result.space)
        tool_ids = [tool.tool_id for tool in explained]
        effects = await learnt_effects(
            self._database,
            scope.tenant_id,
            result,
            tool_ids,
            None if self._scores_are_cosines(result.signals) else baseline,
        )
        return tuple(replace(tool, learnt=effects.get(tool.tool_id)) for tool in explained)

    async def _prepare(
        self, caller: Caller, request: SearchRequest, timer: StepTimer, space: StoredSpace | None = None
    ) -> _PreparedSearch:
        scope = await self._resolve_scope(caller, request)
        overrides = {} if self._overrides is None else await self._overrides.of(caller)
        timer.lap("index")
        if len(request.queries) == 1:
            queries = [await embed_query(self._spaces, request.queries[0], space)]
        else:
            queries = await asyncio.gather(*(embed_query(self._spaces, query, space) for query in request.queries))
        timer.lap("embed")
        return _PreparedSearch(scope, request, queries, overrides, timer)

    async def _state(self, asked: _PreparedSearch) -> SearchState | None:
        """What the outcome depends on; None where it is not to be kept, as what a reranker says."""
        if self._reranking is not None:
            return None
        return await search_state(self._index, asked.scope, asked.queries, asked.overrides)

    async def _search(self, asked: _PreparedSearch, best: int) -> _SearchResult:
        """The `best` take part."""
        scope, request, timer = asked.scope, asked.request, asked.timer
        corrected = max(1, MAX_CORRECTED // len(request.queries))
        queries = [await self._search_for(asked, query, corrected) for query in asked.queries]
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
        cards = _overridden(cards, asked.overrides)
        if self._settings.mode == "hybrid":
            # A score that is the cosine stays with its tool. What passes does not give way to what does not.
            passing = demote_deprecated(passing, cards)
            rest = [match for match in below if not self._is_nameable(match)]
            matches = [*passing, *demote_deprecated(nameable, cards), *rest]
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

    async def _search_for(self, asked: _PreparedSearch, query: EmbeddedQuery, most_corrected: int) -> QueryResult:
        scope, timer = asked.scope, asked.timer
        texts, vectors, space = query.texts, query.vectors, query.space
        vocabulary = await self._index.vocabulary(scope, space, texts, most_corrected)
        forms = [
            ParsedQuery(terms, None if vectors is None else vectors.vectors[place])
            for place, terms in enumerate(terms_of_each(texts, vocabulary, most_corrected))
        ]
        signals = await self._index.signals(scope, space, forms)
        # Which asks for vectors of its own.
        baseline = await self._index.baseline(scope.tenant_id, None if vectors is None else space)
        named = await self._named(asked, space, texts[0].strip(), signals)
        signals = signals.with_unmeasured(named)
        timer.lap("index")
        if signals.cosines is not None and self._scores_are_cosines(signals):
            scores = np.clip(np.nan_to_num(signals.cosines[0]), 0.0, 1.0)
            order = np.lexsort((signals.tool_ids, -scores))
        else:
            ranking = rank(signals, baseline)
            scores, order = scores_of(signals, ranking, baseline), ranking.order
        timer.lap("score")
        return QueryResult(signals, scores, scores, order, list(named), space, vectors, query.embedding_error)

    async def _named(
        self, asked: _PreparedSearch, space: StoredSpace | None, name: str, signals: Signals
    ) -> Mapping[int, int]:
        """The servers of the tools that go by `name`, by tool: first those that do at the caller's profile alone."""
        scope = asked.scope
        called = [tool_id for tool_id, override in asked.overrides.items() if override.name == name]
        named = dict.fromkeys([*called, *await self._index.named(scope, space, name)])
        servers: dict[int, int] = {}
        for tool_id in named:
            places = np.flatnonzero(signals.tool_ids == tool_id)
            if len(places):
                servers[tool_id] = int(signals.servers[places[0]])
                continue
            # Of very many tools only those are measured that words or vectors lead to.
            card = (await self._index.cards(scope, space, [tool_id])).get(tool_id)
            # What a profile calls so may be another server's, or of another category, than is searched.
            if card is not None and tool_id in await self._index.named(scope, space, card.exposed_name):
                servers[tool_id] = card.server_id
        return servers

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
        return [match for match in others if self._is_nameable(match)][:MAX_MORE]

    @staticmethod
    def _is_nameable(match: Match) -> bool:
        return match.score >= _NAMEABLE_SCORE


def _overridden(cards: Mapping[int, ToolCard], overrides: Mapping[int, ToolOverride]) -> Mapping[int, ToolCard]:
    """The cards as clients at the caller's profile are shown them."""
    if not overrides:
        return cards
    return {
        tool_id: card.overridden(overrides[tool_id]) if tool_id in overrides else card
        for tool_id, card in cards.items()
    }


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
            is_renamed=card.is_renamed,
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
    if elsewhere := next((query.signals.notice for query in queries if query.signals.notice), ""):
        notices.append(elsewhere)
    if notices:
        return " ".join(notices)
    instead = next((query.vectors for query in queries if query.vectors and query.vectors.standby_for), None)
    if instead is not None:
        space = instead.stored.space
        model = "The built-in model" if space.provider == BUILTIN_PROVIDER else space.model
        return f"{model} {_BY_ANOTHER}: {instead.standby_for}"
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
