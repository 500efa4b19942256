"""The tools that come nearest to what was searched for, one of which may have been meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from gateway.access.caller import Caller
from gateway.database.pool import Database
from gateway.errors import ModelGateError
from gateway.search.finder import Finder
from gateway.search.request import SearchRequest

_TOOLS = 3
_QUERIES = 10
# A page is not kept waiting by an embedder that does not answer; without these it has a way to choose a tool, too.
_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class NearTool:
    """A tool by its id and the name that clients see."""

    id: int
    exposed_name: str


class NearestTools:
    """Looks them up among all tools that any role finds."""

    def __init__(self, database: Database, finder: Finder) -> None:
        """`finder` is one that asks no reranker: nobody waits for what that says."""
        self._database = database
        self._finder = finder

    async def of(self, tenant_id: int, queries: Sequence[str]) -> Mapping[str, tuple[NearTool, ...]]:
        """Three tools for each of the first ten queries, best first, of those that are looked up in half a second."""
        if not queries:
            return {}
        rows = await self._database.fetch("list_roles", tenant_id)
        caller = Caller(tenant_id, 0, "playground", tuple(row["id"] for row in rows))
        nearest = {}
        with anyio.move_on_after(_SECONDS):
            for query in queries[:_QUERIES]:
                try:
                    outcome = await self._finder.find(caller, SearchRequest((query,), _TOOLS))
                except ModelGateError:
                    continue
                found = (*outcome.tools, *outcome.more)[:_TOOLS]
                nearest[query] = tuple(NearTool(tool.match.tool_id, tool.exposed_name) for tool in found)
        return nearest
