"""Search from end to end: embed, ask the index, rank, score, cut, merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.access.caller import Caller
from gateway.database.pool import Database
from gateway.embedding.builtin import knows_english_only
from gateway.embedding.spaces import QueryVectors, Spaces, StoredSpace
from gateway.errors import EmbeddingError, InvalidInputError
from gateway.search.clauses import clauses_of
from gateway.search.deprecation import living_first
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.query_form import QueryForm, query_terms
from gateway.search.query_language import is_latin
from gateway.search.ranking import SHORTLIST, Floats, Signals, rank
from gateway.search.request import FoundTool, Match, SearchOutcome, SearchRequest
from gateway.search.score import NAMEABLE, score_of, scores_of
from gateway.search.search_explanation import ExplainedTool, MeasuredTool, SearchExplanation, StepTimer
from gateway.settings import SearchSettings

MOST_MORE = 8
"""So many tools at most are named beside those that are shown."""

_FEWEST_MORE = 5
"""Of these, so many where nothing is shown at all."""

_ASK_IN_ENGLISH = "The search understands English best; ask in English to find more."

_SPARE = 20
"""So many of the best tools take part beyond those that an answer has room for: living siblings of deprecated ones, and
tools that go while they are looked up."""


@dataclass(frozen=True, slots=True)
class _QueryResult:
    """What came of one query: `tool_ids` int64 (n,), `scores` float32 (n,) and `order`, places in them, best first."""

    signals: Signals
    scores: Floats
    order: NDArray[np.intp]
    named: Sequence[int]
    vectors: QueryVectors | None
    embedding_error: str

    def match(self, place: int, position: int, threshold: float) -> Match:
        """The tool at `place`. It counts as found by this query, the one at `position`, if it reaches `threshold`."""
        cosines = self.signals.cosines
        cosine = None if cosines is None else float(cosines[0, place])
        similarity = None if cosine is None or np.isnan(cosine) else cosine
        score = min(float(self.scores[place]), 1.0)
        return Match(int(self.signals.tool_ids[place]), score, similarity, (position,) if score >= threshold else ())


@dataclass(frozen=True, slots=True)
class _SearchResult:
    """What came of a search: `matches` are the best of all queries, best first, whether they pass or not."""

    outcome: SearchOutcome
    matches: list[Match]
    queries: list[_QueryResult]


class Finder:
    """Finds tools for callers."""

    def __init__(self, database: Database, spaces: Spaces, index: ToolIndex, settings: SearchSettings) -> None:
        self._database = database
        self._spaces = spaces
        self._index = index
        self._settings = settings

    async def find(self, caller: Caller, request: SearchRequest) -> SearchOutcome:
        """The tools that this caller may find for this request, best first.

        Raises InvalidInputError for a `server` of which the caller can find nothing, and what the database raises.
        An embedder that is down is no error: the outcome is then by words alone and its `notice` says so.
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
            result.outcome, _explained(result, others), timer.times, first.vectors, first.embedding_error
        )

    async def _search(self, caller: Caller, request: SearchRequest, timer: StepTimer, best: int) -> _SearchResult:
        """The `best` take part."""
        scope = await self._resolve_scope(caller, request)
        timer.lap("index")
        queries = [await self._search_for(scope, query, timer) for query in request.queries]
        matches = self._merge(queries, best)
        total = self._count(queries, matches)
        timer.lap("score")
        space = next((result.vectors.stored for result in queries if result.vectors is not None), None)
        passing = [match for match in matches if match.is_named or match.score >= self._settings.threshold]
        wanted = matches[: request.max_results + MOST_MORE]
        cards = await self._index.cards(scope, space, [match.tool_id for match in (*passing, *wanted)])
        if self._settings.mode == "hybrid":
            # A score that is the cosine stays with its tool.
            passing = living_first(passing, cards)
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

    async def _search_for(self, scope: SearchScope, query: str, timer: StepTimer) -> _QueryResult:
        texts = (query, *clauses_of(query))
        vectors: QueryVectors | None = None
        space: StoredSpace | None = None
        embedding_error = ""
        try:
            vectors = await self._spaces.embed_queries(texts)
            space = vectors.stored
        except EmbeddingError as error:
            embedding_error = error.message
        timer.lap("embed")
        vocabulary = await self._index.vocabulary(scope, space, texts)
        forms = [
            QueryForm(query_terms(text, vocabulary), None if vectors is None else vectors.vectors[place])
            for place, text in enumerate(texts)
        ]
        signals = await self._index.signals(scope, space, forms)
        background = await self._index.background(scope.tenant_id, space)
        named = await self._index.named(scope, space, query.strip())
        # A tool may have come or become visible between the two.
        named = [tool_id for tool_id in named if (signals.tool_ids == tool_id).any()]
        timer.lap("index")
        if self._settings.mode == "cosine" and signals.cosines is not None:
            scores = np.clip(np.nan_to_num(signals.cosines[0]), 0.0, 1.0)
            order = np.lexsort((signals.tool_ids, -scores))
        else:
            ranking = rank(signals, background)
            scores, order = scores_of(signals, ranking, background), ranking.order
        timer.lap("score")
        return _QueryResult(signals, scores, order, named, vectors, embedding_error)

    def _merge(self, queries: Sequence[_QueryResult], best: int) -> list[Match]:
        """The `best`, each tool once: those that a query names first, then by score."""
        if len(queries) > 1:
            # A tool that is shown says which queries found it, also those that it is not among the best of.
            best = SHORTLIST
        merged: dict[int, Match] = {}
        for position, result in enumerate(queries):
            of_query = {tool_id: self._named_match(result, tool_id, position) for tool_id in result.named}
            for place in result.order[:best].tolist():
                match = result.match(place, position, self._settings.threshold)
                of_query.setdefault(match.tool_id, match)
            for tool_id, match in of_query.items():
                known = merged.get(tool_id)
                merged[tool_id] = match if known is None else _join(known, match)
        return sorted(merged.values(), key=_best_first)

    def _count(self, queries: Sequence[_QueryResult], matches: Sequence[Match]) -> int:
        """How many tools pass, or go by a query as it stands, each once."""
        passing = [result.signals.tool_ids[result.scores >= self._settings.threshold] for result in queries]
        named = [match.tool_id for match in matches if match.is_named]
        if len(passing) == 1 and not named:
            return len(passing[0])
        return len(np.unique(np.concatenate([*passing, np.array(named, np.int64)])))

    def _named_match(self, result: _QueryResult, tool_id: int, position: int) -> Match:
        """A tool that goes by the query as it stands; in cosine mode its score is still the cosine."""
        place = int(np.flatnonzero(result.signals.tool_ids == tool_id)[0])
        match = replace(
            result.match(place, position, self._settings.threshold), query_positions=(position,), is_named=True
        )
        return match if self._settings.mode == "cosine" else replace(match, score=1.0)

    def _more(self, others: Sequence[Match], something_is_shown: bool) -> list[Match]:
        """The next best that are worth a line; a few in any case where nothing is shown."""
        if self._settings.mode == "cosine":
            return []
        worth = [match for match in others if match.score >= score_of(NAMEABLE)]
        if not something_is_shown and len(worth) < _FEWEST_MORE:
            worth = list(others[:_FEWEST_MORE])
        return worth[:MOST_MORE]


def _join(known: Match, match: Match) -> Match:
    """A tool that another query found as well."""
    return replace(min(match, known, key=_best_first), query_positions=(*known.query_positions, *match.query_positions))


def _best_first(match: Match) -> tuple[bool, float, float, int]:
    return not match.is_named, -match.score, -(match.similarity or 0.0), match.tool_id


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


def _notice(request: SearchRequest, queries: Sequence[_QueryResult]) -> str:
    error = next((query.embedding_error for query in queries if query.embedding_error), "")
    if error:
        return f"Semantic search is unavailable, these results are by words alone: {error}"
    for text, result in zip(request.queries, queries, strict=True):
        if result.vectors is not None and knows_english_only(result.vectors.stored.space) and not is_latin(text):
            return _ASK_IN_ENGLISH
    return ""


def _explained(result: _SearchResult, others: int) -> tuple[ExplainedTool, ...]:
    """The tools of the outcome in its order, then those beyond it and those cut, best first, at most `others`."""
    shown = {tool.match.tool_id: tool.match for tool in result.outcome.tools}
    rest = [match for match in result.matches if match.tool_id not in shown]
    passing = result.outcome.total_found - len(shown)
    explained = [
        ExplainedTool(tool_id, "found", match.score, _measured(result, tool_id)) for tool_id, match in shown.items()
    ]
    explained += [
        ExplainedTool(
            match.tool_id, "beyond" if place < passing else "cut", match.score, _measured(result, match.tool_id)
        )
        for place, match in enumerate(rest[:others])
    ]
    return tuple(explained)


def _measured(result: _SearchResult, tool_id: int) -> MeasuredTool | None:
    """What the query that a tool fits best measured of it."""
    best: tuple[float, MeasuredTool] | None = None
    for query in result.queries:
        for place in np.flatnonzero(query.signals.tool_ids == tool_id).tolist():
            match = query.match(place, 0, 0.0)
            if best is None or match.score > best[0]:
                best = (match.score, MeasuredTool(match.similarity, float(query.signals.lexical[0, place])))
    return None if best is None else best[1]
