"""The search playground: what a role's client would be answered, and why."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from pydantic import Field

from gateway.access.caller import Caller
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.tools.tools import Category
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.spaces.query_embedding import QueryVectors
from gateway.errors import InvalidInputError, NotFoundError
from gateway.search.finder import Finder
from gateway.search.learning.learnt_effect import LearntEffect
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.search.rerank.reranking import RerankReport
from gateway.search.search_explanation import ExplainedTool, SearchExplanation, SearchTimes
from gateway.settings import SearchSettings

_SHOWN_BESIDE = 30
_HIDDEN = 10
_SHOWN_EFFECT = 0.005
# English text and JSON come to about four characters a token with the tokenizers of today's models.
_CHARACTERS_PER_TOKEN = 4


Outcome = Literal["found", "beyond", "cut", "hidden"]


@dataclass(frozen=True, slots=True)
class PlaygroundQuery:
    """A search as the client of a role would make it; without `role_id` as one with every role of the tenant."""

    query: Annotated[str, Field(min_length=1, max_length=4_000)]
    role_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    category: Category | None = None
    server: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    max_results: Annotated[int, Field(ge=1, le=50)] = 5

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class PlaygroundTool:
    """A tool that was looked at. `score` 0…1 ranks and cuts; None for a tool that is hidden from the role.

    `similarity` is the weighted cosine, `lexical` is BM25. `outcome`: found (in the
    answer), beyond (over the threshold, after the last of `max_results`), cut (under it), or hidden. So many `examples`
    have made `score_by_examples` of its score.
    """

    id: int
    name: str
    exposed_name: str
    server_name: str
    category: str
    outcome: Outcome
    reason: str
    score: float | None
    similarity: float | None
    lexical: float | None
    examples: int = 0
    score_by_examples: float = 0.0


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Milliseconds of embedding the query, of what is asked of the index, of scoring, of the reranker, of writing the
    answer, and of all of them together.
    """

    embed: float
    index: float
    score: float
    rerank: float
    answer: float
    total: float


@dataclass(frozen=True, slots=True)
class TokenCost:
    """Tokens, estimated as a quarter of the characters: of this answer, and of listing every tool of the role."""

    answer: int
    listing_everything: int
    tools: int


@dataclass(frozen=True, slots=True)
class PlaygroundAnswer:
    """`client_json` is the text that the client's model reads; `notice` says what was not as usual.

    `reranker` is a sentence on what the reranker did, empty where it was not asked.
    """

    tools: tuple[PlaygroundTool, ...]
    threshold: float
    client_json: str
    times: StepTimes
    tokens: TokenCost
    notice: str
    reranker: str


class ClientAnswer(Protocol):
    """The answer of a search as the JSON text that a client gets."""

    def __call__(self, request: SearchRequest, outcome: SearchOutcome) -> str: ...


class PlaygroundService:
    """Searches on behalf of roles."""

    def __init__(
        self, database: Database, finder: Finder, settings: SearchSettings, client_answer: ClientAnswer
    ) -> None:
        self._database = database
        self._finder = finder
        self._settings = settings
        self._client_answer = client_answer

    async def search(self, tenant_id: int, asked: PlaygroundQuery) -> PlaygroundAnswer:
        """Search, and show every tool that was looked at.

        Raises NotFoundError for a role that is not there, and for a server of which the role can find nothing.
        """
        role_ids = await self._roles(tenant_id, asked.role_id)
        caller = Caller(tenant_id, 0, "playground", role_ids)
        request = SearchRequest((asked.query,), asked.max_results, asked.category, asked.server)
        started = time.perf_counter()
        try:
            explanation = await self._finder.explain(caller, request, _SHOWN_BESIDE)
        except InvalidInputError as error:
            if error.field != "server":
                raise
            raise NotFoundError(f"This role can find nothing of a server {asked.server!r}.") from None
        client_json = self._client_answer(request, explanation.outcome)
        total = (time.perf_counter() - started) * 1000
        times = _times(explanation.times, total)
        size = await self._database.fetchrow("visible_tools_size", tenant_id, list(role_ids))
        assert size is not None
        return PlaygroundAnswer(
            tools=(
                *await self._looked_at(tenant_id, explanation),
                *await self._hidden(tenant_id, role_ids, explanation.query_vectors),
            ),
            threshold=self._settings.threshold,
            client_json=client_json,
            times=times,
            tokens=TokenCost(
                len(client_json) // _CHARACTERS_PER_TOKEN,
                size["characters"] // _CHARACTERS_PER_TOKEN,
                size["tools"],
            ),
            notice=explanation.embedding_error,
            reranker="" if explanation.rerank is None else _describe(explanation.rerank),
        )

    async def _roles(self, tenant_id: int, role_id: int | None) -> tuple[int, ...]:
        rows = await self._database.fetch("list_roles", tenant_id)
        ids = tuple(row["id"] for row in rows)
        if role_id is None:
            return ids
        if role_id not in ids:
            raise NotFoundError(f"There is no role {role_id} in this tenant.")
        return (role_id,)

    async def _looked_at(self, tenant_id: int, explanation: SearchExplanation) -> list[PlaygroundTool]:
        """The tools of the answer in its order, then those that came nearest, each with the reason why."""
        rows = await self._database.fetch("tools_by_id", tenant_id, [tool.tool_id for tool in explanation.tools])
        by_id = {row["id"]: row for row in rows}
        reasons = _Reasons(explanation.outcome, self._settings.threshold)
        # A tool may be removed after it was looked at.
        existing = [tool for tool in explanation.tools if tool.tool_id in by_id]
        return [_playground_tool(by_id[tool.tool_id], tool, reasons.of(tool)) for tool in existing]

    async def _hidden(
        self, tenant_id: int, role_ids: tuple[int, ...], vectors: QueryVectors | None
    ) -> list[PlaygroundTool]:
        if vectors is None:
            return []
        rows = await self._database.fetch(
            "nearest_hidden_tools",
            tenant_id,
            list(role_ids),
            vectors.vectors[0],
            _HIDDEN,
            space=vectors.stored.id,
            dimensions=vectors.stored.space.dimensions,
        )
        return [
            PlaygroundTool(
                id=row["id"],
                name=row["name"],
                exposed_name=row["exposed_name"],
                server_name=row["server_name"],
                category=row["category"],
                outcome="hidden",
                reason="The role may not find it.",
                score=None,
                similarity=row["similarity"],
                lexical=None,
            )
            for row in rows
        ]


def _times(times: SearchTimes, total: float) -> StepTimes:
    """The steps of the search that is shown, which add up to what it took."""
    embed, index, score, rerank = (round(step, 2) for step in (times.embed, times.index, times.score, times.rerank))
    searched = embed + index + score + rerank
    answer = round(max(total - searched, 0.0), 2)
    return StepTimes(embed, index, score, rerank, answer, round(searched + answer, 2))


def _playground_tool(row: Row, tool: ExplainedTool, reason: str) -> PlaygroundTool:
    measured = tool.measured
    return PlaygroundTool(
        id=tool.tool_id,
        name=row["name"],
        exposed_name=row["exposed_name"],
        server_name=row["server_name"],
        category=row["category"],
        outcome=tool.outcome,
        reason=reason,
        score=tool.score,
        similarity=None if measured is None else measured.cosine,
        lexical=None if measured is None else measured.lexical,
        examples=0 if tool.learnt is None else tool.learnt.examples,
        score_by_examples=0.0 if tool.learnt is None else tool.learnt.score,
    )


def _describe(report: RerankReport) -> str:
    if report.failure:
        return f"The tools are in the order of the index: {report.failure}."
    count = len(report.order)
    moved = sum(place != number for number, place in enumerate(report.order))
    if report.repeated:
        return f"The reranker moved {moved} of the best {count} tools, as an earlier search had asked it."
    return f"The reranker moved {moved} of the best {count} tools, in {report.milliseconds:.0f} ms."


def describe_effect(effect: LearntEffect | None) -> str:
    """What examples did to a tool, as a sentence after others; empty where that is nothing to speak of."""
    if effect is None or abs(effect.score) < _SHOWN_EFFECT:
        return ""
    examples = "1 example" if effect.examples == 1 else f"{effect.examples} examples"
    return f" {'Raised' if effect.score > 0 else 'Lowered'} by {examples}: {effect.score:+.2f}."


class _Reasons:
    """Says in a sentence why a tool is, or is not, in an answer."""

    def __init__(self, outcome: SearchOutcome, threshold: float) -> None:
        self._positions = {tool.match.tool_id: position for position, tool in enumerate(outcome.tools, 1)}
        self._named = {tool.match.tool_id for tool in outcome.tools if tool.match.is_named}
        self._total = outcome.total_found
        self._threshold = f"{threshold:.2f}"

    def of(self, tool: ExplainedTool) -> str:
        if tool.tool_id in self._named:
            return "The query is its name, so it goes first."
        moved = "" if tool.moved_from is None else f" The reranker moved it from place {tool.moved_from}."
        return f"{self._place(tool)}{moved}{describe_effect(tool.learnt)}"

    def _place(self, tool: ExplainedTool) -> str:
        if tool.outcome == "found":
            return f"Number {self._positions[tool.tool_id]} of {self._total} over the threshold {self._threshold}."
        if tool.outcome == "beyond":
            shown = len(self._positions)
            return f"Over the threshold {self._threshold}, and after the last of the {shown} in the answer."
        return f"Its score {tool.score:.2f} is under the threshold {self._threshold}."
