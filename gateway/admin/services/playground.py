"""The search playground: what a role's client would be answered, and why."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.access.caller import Caller
from gateway.admin.components import ClientAnswer, Parts
from gateway.admin.reading import STRICT
from gateway.admin.services.tools import Category
from gateway.embedding.spaces import QueryVector
from gateway.errors import EmbeddingError, NotFoundError
from gateway.search.calibrate import Calibration
from gateway.search.candidate import Candidate
from gateway.search.fuse import fuse
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.search.retrieve import Retrieved, Retriever, SearchScope

_SHOWN_BESIDE = 30
_HIDDEN = 10
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

    __pydantic_config__ = STRICT


@dataclass(frozen=True, slots=True)
class PlaygroundTool:
    """A tool that was looked at. `score` 0…1 ranks and cuts; None for a tool that is hidden from the role.

    `similarity`, `name_similarity` and `description_similarity` are cosines, `lexical` is BM25. `outcome`: found (in
    the answer), beyond (over the threshold, after the last of `max_results`), cut (under it), or hidden.
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
    name_similarity: float | None
    description_similarity: float | None
    lexical: float | None


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Milliseconds of each step: embedding the query, the SQL statement, scoring, and all as the client waits."""

    embed: float
    sql: float
    fuse: float
    total: float


@dataclass(frozen=True, slots=True)
class TokenCost:
    """Tokens, estimated as a quarter of the characters: of this answer, and of listing every tool of the role."""

    answer: int
    listing_everything: int
    tools: int


@dataclass(frozen=True, slots=True)
class PlaygroundAnswer:
    """`client_json` is the text that the client's model reads; `notice` says what was not as usual."""

    tools: tuple[PlaygroundTool, ...]
    threshold: float
    client_json: str
    times: StepTimes
    tokens: TokenCost
    notice: str


class PlaygroundService:
    """Searches on behalf of roles."""

    def __init__(self, parts: Parts, client_answer: ClientAnswer) -> None:
        self._parts = parts
        self._client_answer = client_answer
        self._retriever = Retriever(parts.database, parts.statistics)

    async def search(self, tenant_id: int, asked: PlaygroundQuery) -> PlaygroundAnswer:
        """Search, and show every tool that was looked at. Raises NotFoundError for a role that is not there."""
        role_ids = await self._roles(tenant_id, asked.role_id)
        narrowing = SearchScope(tenant_id, role_ids, asked.category)
        caller = Caller(tenant_id, 0, "playground", role_ids)
        if asked.server is not None:
            server_id = await self._parts.database.fetchval("server_filter", tenant_id, list(role_ids), asked.server)
            if server_id is None:
                raise NotFoundError(f"This role can find nothing of a server {asked.server!r}.")
            narrowing = replace(narrowing, server_id=server_id)

        clock = time.perf_counter
        notice = ""
        vector: QueryVector | None = None
        started = clock()
        try:
            vector = await self._parts.spaces.embed_query(asked.query)
        except EmbeddingError as error:
            notice = error.message
        embedded = clock()
        retrieved = await self._retriever.retrieve(narrowing, asked.query, vector)
        fetched = clock()
        scores = await self._scores(tenant_id, retrieved, vector)
        fused = clock()

        request = SearchRequest((asked.query,), asked.max_results, asked.category, asked.server)
        outcome = await self._parts.finder.find(caller, request)
        client_json = self._client_answer(request, outcome)
        answered = clock()
        size = await self._parts.database.fetchrow("listing_size", tenant_id, list(role_ids))
        assert size is not None
        candidates = dict(zip(retrieved.candidates, scores, strict=True))
        shown = await self._shown(tenant_id, candidates, outcome)
        return PlaygroundAnswer(
            tools=(*shown, *await self._hidden(tenant_id, role_ids, vector)),
            threshold=self._parts.settings.search.threshold,
            client_json=client_json,
            times=StepTimes(
                _ms(embedded - started), _ms(fetched - embedded), _ms(fused - fetched), _ms(answered - fused)
            ),
            tokens=TokenCost(
                len(client_json) // _CHARACTERS_PER_TOKEN,
                size["characters"] // _CHARACTERS_PER_TOKEN,
                size["tools"],
            ),
            notice=notice,
        )

    async def _roles(self, tenant_id: int, role_id: int | None) -> tuple[int, ...]:
        rows = await self._parts.database.fetch("list_roles", tenant_id)
        ids = tuple(row["id"] for row in rows)
        if role_id is None:
            return ids
        if role_id not in ids:
            raise NotFoundError(f"There is no role {role_id} in this tenant.")
        return (role_id,)

    async def _scores(self, tenant_id: int, retrieved: Retrieved, vector: QueryVector | None) -> list[float]:
        if vector is not None and self._parts.settings.search.mode == "cosine":
            return [max(candidate.combined or 0.0, 0.0) for candidate in retrieved.candidates]
        calibration = Calibration()
        if vector is not None:
            calibration = await self._parts.statistics.calibration(tenant_id, vector.stored)
        tools = (await self._parts.statistics.lexical(tenant_id)).tool_count
        return fuse(retrieved.candidates, calibration, retrieved.lexical_ceiling, tools)

    async def _shown(
        self, tenant_id: int, scores: Mapping[Candidate, float], outcome: SearchOutcome
    ) -> list[PlaygroundTool]:
        """The tools of the answer in its order, then the other candidates, best first."""
        threshold = self._parts.settings.search.threshold
        measured = {candidate.tool_id: candidate for candidate in scores}
        shown = []
        for position, tool in enumerate(outcome.tools, 1):
            reason = f"Number {position} of {outcome.total_found} over the threshold {threshold:.2f}."
            if tool.match.named:
                reason = "The query is its name, so it goes first."
            named = (tool.match.tool_id, tool.name, tool.exposed_name, tool.server, tool.category)
            shown.append(_tool(named, "found", reason, tool.match.score, measured.get(tool.match.tool_id)))
        found = {tool.match.tool_id for tool in outcome.tools}
        rest = sorted(
            ((candidate, score) for candidate, score in scores.items() if candidate.tool_id not in found),
            key=lambda pair: (-pair[1], -(pair[0].combined or 0.0), pair[0].tool_id),
        )[:_SHOWN_BESIDE]
        rows = await self._parts.database.fetch("tools_by_id", tenant_id, [each.tool_id for each, _ in rest])
        by_id = {row["id"]: tuple(row) for row in rows}
        for candidate, score in rest:
            if candidate.tool_id not in by_id:
                continue
            passed = score >= threshold
            reason = f"Its score {score:.2f} is under the threshold {threshold:.2f}."
            if passed:
                reason = f"Over the threshold {threshold:.2f}, and after the last of the {len(found)} in the answer."
            named = by_id[candidate.tool_id]
            shown.append(_tool(named, "beyond" if passed else "cut", reason, score, candidate))
        return shown

    async def _hidden(
        self, tenant_id: int, role_ids: tuple[int, ...], vector: QueryVector | None
    ) -> list[PlaygroundTool]:
        if vector is None:
            return []
        rows = await self._parts.database.fetch(
            "hidden_tools",
            tenant_id,
            list(role_ids),
            vector.vector,
            _HIDDEN,
            space=vector.stored.id,
            dimensions=vector.stored.space.dimensions,
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
                name_similarity=None,
                description_similarity=None,
                lexical=None,
            )
            for row in rows
        ]


def _tool(
    named: tuple[Any, ...], outcome: Outcome, reason: str, score: float, measured: Candidate | None
) -> PlaygroundTool:
    """`named` is a tool's id, name, exposed name, server name and category."""
    tool_id, name, exposed_name, server_name, category = named
    return PlaygroundTool(
        id=tool_id,
        name=name,
        exposed_name=exposed_name,
        server_name=server_name,
        category=category,
        outcome=outcome,
        reason=reason,
        score=score,
        similarity=None if measured is None else measured.combined,
        name_similarity=None if measured is None else measured.name,
        description_similarity=None if measured is None else measured.description,
        lexical=None if measured is None else measured.lexical,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
