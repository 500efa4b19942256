"""What people say when they mean a tool: examples, which searches go by from the next one on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal

from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.tools.tools import tool_row
from gateway.catalog.examples.tool_examples import ExampleSource, ExampleState, ToolExample, ToolExamples
from gateway.database.pool import Database
from gateway.search.learning.learner import Learner

_SEARCH_DAYS = 30
_MAX_SEARCHES = 20


@dataclass(frozen=True, slots=True)
class ExampleInput:
    """What somebody says who means the tool."""

    text: Annotated[str, Field(min_length=1, max_length=2_000)]

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ExampleView:
    """An example. So many `calls` of `callers` followed it, which `count` so much: later ones after the same search
    count half.

    `counted`: it has effect once it was used often enough; `waiting`: an admin has to say that it is meant; `approved`:
    it has effect; `dismissed`: it has none and is not learnt again.
    """

    id: int
    text: str
    source: ExampleSource
    state: ExampleState
    count: float
    calls: int
    callers: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class ToolExamplesView:
    """The examples of a tool; `delayed` says why they have no effect yet, empty where they have."""

    items: tuple[ExampleView, ...]
    delayed: str = ""


@dataclass(frozen=True, slots=True)
class ToolSearchView:
    """A search whose answer held a tool, and what its searcher called within ten minutes."""

    query: str
    led_to: Literal["this", "another", "nothing"]
    times: int
    last_at: datetime


class ExampleService:
    """Examples of a tenant's tools."""

    def __init__(self, database: Database, examples: ToolExamples, learner: Learner) -> None:
        self._database = database
        self._examples = examples
        self._learner = learner

    async def list(self, tenant_id: int, tool_id: int) -> ToolExamplesView:
        """The examples of a tool, those of people first. Raises NotFoundError."""
        await tool_row(self._database, tenant_id, tool_id)
        return ToolExamplesView(tuple(map(_view, await self._examples.list(tenant_id, tool_id))))

    async def add(self, tenant_id: int, tool_id: int, wanted: ExampleInput) -> ToolExamplesView:
        """Give a tool an example; raises as `ToolExamples.add`."""
        await self._examples.add(tenant_id, tool_id, wanted.text)
        return await self._refreshed(tenant_id, tool_id)

    async def remove(self, tenant_id: int, tool_id: int, example_id: int) -> ToolExamplesView:
        """Take an example away; one that no admin gave is not learnt again. Raises NotFoundError."""
        await self._examples.remove(tenant_id, tool_id, example_id)
        return await self._refreshed(tenant_id, tool_id)

    async def approve(self, tenant_id: int, tool_id: int, example_id: int) -> ToolExamplesView:
        """Say that an example is meant. Raises NotFoundError."""
        await self._examples.approve(tenant_id, tool_id, example_id)
        return await self._refreshed(tenant_id, tool_id)

    async def searches(self, tenant_id: int, tool_id: int) -> tuple[ToolSearchView, ...]:
        """What was searched for in the last thirty days and answered with this tool, most often asked first."""
        since = datetime.now(timezone.utc) - timedelta(days=_SEARCH_DAYS)
        rows = await self._database.fetch("searches_of_tool", tenant_id, tool_id, since, _MAX_SEARCHES)
        return tuple(ToolSearchView(**row) for row in rows)

    async def _refreshed(self, tenant_id: int, tool_id: int) -> ToolExamplesView:
        delayed = await self._learner.refresh(tenant_id, tool_id)
        items = tuple(map(_view, await self._examples.list(tenant_id, tool_id)))
        return ToolExamplesView(items, delayed)


def _view(example: ToolExample) -> ExampleView:
    return ExampleView(
        example.id,
        example.text,
        example.source,
        example.state,
        example.count,
        example.calls,
        example.callers,
        example.first_seen_at,
        example.last_seen_at,
    )
