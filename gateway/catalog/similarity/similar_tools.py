"""The tools nearest in meaning to one, and those that do the same on several servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.access.tool_names import tools_by_name
from gateway.catalog.similarity.duplicates import DUPLICATE_COSINE, find_duplicates
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.errors import ConflictError, NotFoundError

MAX_COMPARED_TOOLS = 10_000
"""Of a larger catalogue so many tools are compared with each other, those with the lowest numbers."""


@dataclass(frozen=True, slots=True)
class SimilarTool:
    """A tool near in meaning; `similarity` is the cosine of their combined texts, −1…1."""

    id: int
    name: str
    exposed_name: str
    server_id: int
    server_name: str
    description: str
    similarity: float
    likely_duplicate: bool


@dataclass(frozen=True, slots=True)
class DuplicateTool:
    """One of several tools that do the same; `description` is cut to 400 characters."""

    id: int
    name: str
    exposed_name: str
    server_id: int
    server_name: str
    description: str


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Tools each of which does what another one does; `similarity` is the least cosine between two such, −1…1."""

    tools: tuple[DuplicateTool, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Groups of duplicates, the largest first, among `compared` tools; `complete`: there are no more than these."""

    groups: tuple[DuplicateGroup, ...]
    compared: int
    complete: bool


class SimilarTools:
    """Compares the tools of a tenant, of all servers, in the space that serves.

    `role_ids` bounds it to what these roles may find; None is for those who may see everything.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._spaces = SpaceStore(database)

    async def nearest(
        self, tenant_id: int, tool_id: int, limit: int, role_ids: Sequence[int] | None = None
    ) -> tuple[SimilarTool, ...]:
        """The tools nearest in meaning to one, nearest first; none while there are no vectors.

        Raises NotFoundError, alike for one that is not there and one that these roles cannot find.
        """
        roles = None if role_ids is None else list(role_ids)
        if not await self._database.fetchval("is_findable_tool", tenant_id, roles, tool_id):
            raise NotFoundError(f"There is no tool {tool_id} in this tenant.")
        space = await self._active_space()
        if space is None:
            return ()
        dimensions = space.space.dimensions
        rows = await self._database.fetch(
            "similar_tools", tenant_id, roles, tool_id, limit, space=space.id, dimensions=dimensions
        )
        return tuple(SimilarTool(**row, likely_duplicate=row["similarity"] >= DUPLICATE_COSINE) for row in rows)

    async def id_of(self, tenant_id: int, name: str, role_ids: Sequence[int] | None = None) -> int:
        """The tool that goes by a name. Raises NotFoundError, alike for one that these roles cannot find, and
        ConflictError where several go by it.
        """
        named = await tools_by_name(self._database, tenant_id, name, role_ids or ())
        found = [tool for tool in named if not tool.removed and (role_ids is None or tool.visibility is not None)]
        exact = [tool for tool in found if not tool.own_name_only]
        if not found:
            raise NotFoundError(f"There is no tool {name[:200]!r}; modelgate search shows the names of tools.")
        if not exact and len(found) > 1:
            raise ConflictError(
                f"Several tools are called {name[:200]!r}; say which one: "
                f"{', '.join(tool.exposed_name for tool in found[:10])}."
            )
        return (exact or found)[0].id

    async def duplicates(
        self,
        tenant_id: int,
        role_ids: Sequence[int] | None = None,
        *,
        threshold: float = DUPLICATE_COSINE,
        across_servers: bool = True,
    ) -> Duplicates:
        """Tools that do the same, on several servers or, without `across_servers`, on one as well."""
        space = await self._active_space()
        if space is None:
            return Duplicates((), 0, complete=True)
        roles = None if role_ids is None else list(role_ids)
        rows = await self._database.fetch("compared_tools", tenant_id, roles, space.id, MAX_COMPARED_TOOLS)
        if not rows:
            return Duplicates((), 0, complete=True)
        vectors = np.array([row["vector"].to_numpy() for row in rows], dtype=np.float32)
        apart = [row["server_id"] for row in rows] if across_servers else None
        found = await asyncio.to_thread(find_duplicates, vectors, threshold, apart)
        tools = [
            DuplicateTool(
                row["id"],
                row["name"],
                row["exposed_name"],
                row["server_id"],
                row["server_name"],
                row["description"],
            )
            for row in rows
        ]
        groups = tuple(DuplicateGroup(tuple(tools[row] for row in each.rows), each.similarity) for each in found)
        return Duplicates(groups, len(rows), complete=len(rows) < MAX_COMPARED_TOOLS)

    async def _active_space(self) -> StoredSpace | None:
        return next((record.stored for record in await self._spaces.records() if record.active), None)
