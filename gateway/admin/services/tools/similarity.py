"""Tools that are near in meaning, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cachetools import LRUCache
from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.catalog.similarity.duplicates import DUPLICATE_COSINE
from gateway.catalog.similarity.similar_tools import Duplicates, SimilarTool, SimilarTools
from gateway.database.pool import Database

_MAX_DUPLICATES = 32

RoleId = Annotated[int, Field(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class SimilarFilter:
    """How many tools, and with `role_id` only those that a client with this role can find."""

    role_id: RoleId | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 8

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class DuplicateFilter:
    """How near in meaning two tools have to be, and with `role_id` only those that a client with this role can find.

    `same_server`: tools of one server are compared with each other, too.
    """

    role_id: RoleId | None = None
    threshold: Annotated[float, Field(ge=0.5, le=1)] = DUPLICATE_COSINE
    same_server: bool = False

    __pydantic_config__ = FORBID_EXTRA


class SimilarityService:
    """Compares tools of a tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tools = SimilarTools(database)
        # Every tool is compared with every other one: once for a version of the catalogue and the space that serves.
        self._duplicates: LRUCache[tuple[int, int, int | None, DuplicateFilter], Duplicates] = LRUCache(_MAX_DUPLICATES)

    async def nearest(self, tenant_id: int, tool_id: int, query: SimilarFilter) -> tuple[SimilarTool, ...]:
        """The tools nearest in meaning to one. Raises NotFoundError, alike for one that the role cannot find."""
        return await self._tools.nearest(tenant_id, tool_id, query.limit, _role_ids(query.role_id))

    async def duplicates(self, tenant_id: int, query: DuplicateFilter) -> Duplicates:
        """Tools that do the same."""
        version = await self._database.fetchval("catalogue_version", tenant_id)
        key = (tenant_id, version, await self._database.fetchval("active_space"), query)
        found = self._duplicates.get(key)
        if found is None:
            found = self._duplicates[key] = await self._tools.duplicates(
                tenant_id, _role_ids(query.role_id), threshold=query.threshold, across_servers=not query.same_server
            )
        return found


def _role_ids(role_id: int | None) -> tuple[int, ...] | None:
    return None if role_id is None else (role_id,)
