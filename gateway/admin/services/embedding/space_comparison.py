"""What two embedding spaces answer to the same query, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gateway.access.caller import Caller
from gateway.access.roles import list_roles
from gateway.admin.request_input import FORBID_EXTRA
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.space_switch import SpaceSwitch
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import EmbeddingError, NotFoundError
from gateway.search.finder import Finder
from gateway.search.request import SearchOutcome, SearchRequest

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SpaceComparisonQuery:
    """A query, and the space to be compared with the one that serves: None for the one that shares its searches, else
    the newest. With `role_id` as a client with this role would be answered.
    """

    query: Annotated[str, Field(min_length=1, max_length=4_000)]
    space: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    role_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class AnsweredTool:
    """A tool of an answer; `passes`: its score, 0…1, is over the threshold."""

    name: str
    server: str
    score: float
    passes: bool


@dataclass(frozen=True, slots=True)
class SpaceAnswer:
    """What a space answers, best first, and in how many milliseconds; `error` says why there is nothing."""

    space: int
    model: str
    milliseconds: float
    tools: tuple[AnsweredTool, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class SpaceComparison:
    """The answer of the space that serves, then that of the other; `common` counts tools that both have."""

    answers: tuple[SpaceAnswer, ...]
    common: int


class SpaceComparisonService:
    """Searches in two spaces, whichever of them serves."""

    def __init__(self, database: Database, spaces: Spaces, finder: Finder) -> None:
        self._database = database
        self._spaces = spaces
        self._finder = finder
        self._switch = SpaceSwitch(spaces.store)

    async def compare(self, tenant_id: int, asked: SpaceComparisonQuery) -> SpaceComparison:
        """Raises NotFoundError where there is no such space or role, or none to compare with."""
        role_ids = tuple(role.id for role in await list_roles(self._database, tenant_id))
        if asked.role_id is not None:
            if asked.role_id not in role_ids:
                raise NotFoundError(f"There is no role {asked.role_id} in this tenant.")
            role_ids = (asked.role_id,)
        serving, other = await self._switch.compared(asked.space)
        answers = [await self._answer(tenant_id, role_ids, asked.query, space) for space in (serving, other)]
        names = [{tool.name for tool in answer.tools} for answer in answers]
        return SpaceComparison(tuple(answers), len(names[0] & names[1]))

    async def _answer(self, tenant_id: int, role_ids: Sequence[int], query: str, space: StoredSpace) -> SpaceAnswer:
        caller = Caller(tenant_id, 0, "comparison", tuple(role_ids))
        started = time.perf_counter()
        outcome: SearchOutcome | None = None
        error = ""
        try:
            outcome = await self._finder.find(caller, SearchRequest((query,), _SHOWN), space)
        except EmbeddingError as failure:
            error = failure.message
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        tools = [] if outcome is None else [(tool, True) for tool in outcome.tools]
        tools += [] if outcome is None else [(tool, False) for tool in outcome.more]
        answered = (
            AnsweredTool(tool.exposed_name, tool.server, round(tool.match.score, 3), passes) for tool, passes in tools
        )
        return SpaceAnswer(space.id, space.space.model, milliseconds, tuple(answered)[:_SHOWN], error)
