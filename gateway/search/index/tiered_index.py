"""Which index a tenant is searched in: the one in memory, or PostgreSQL where it does not fit."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import IndexTooLargeError
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.query.parsed_query import ParsedQuery, Vocabulary
from gateway.search.ranking import CosineBaseline, Signals

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class TieredIndex:
    """Asks `memory`, and `database` for tenants whose tools do not fit there; says so once for each space."""

    def __init__(self, memory: ToolIndex, database: ToolIndex) -> None:
        self._memory = memory
        self._database = database
        self._said: set[tuple[int, int | None]] = set()

    @property
    def tenants_in_database(self) -> Collection[int]:
        """See `ToolIndex`."""
        return self._memory.tenants_in_database

    @property
    def size_bytes(self) -> int:
        """See `ToolIndex`."""
        return self._memory.size_bytes + self._database.size_bytes

    @property
    def tools(self) -> int:
        """See `ToolIndex`."""
        return self._memory.tools + self._database.tools

    @property
    def age_seconds(self) -> float:
        """See `ToolIndex`."""
        return max(self._memory.age_seconds, self._database.age_seconds)

    def pinned(self, tenant_id: int) -> AbstractContextManager[None]:
        """See `ToolIndex`."""
        return self._memory.pinned(tenant_id)

    async def revision(self, scope: SearchScope, space: StoredSpace) -> Hashable | None:
        """See `ToolIndex`."""
        return await self._ask(scope.tenant_id, space, lambda index: index.revision(scope, space))

    async def vocabulary(
        self, scope: SearchScope, space: StoredSpace | None, texts: Sequence[str], most_corrected: int
    ) -> Vocabulary:
        """See `ToolIndex`."""
        return await self._ask(
            scope.tenant_id, space, lambda index: index.vocabulary(scope, space, texts, most_corrected)
        )

    async def baseline(self, tenant_id: int, space: StoredSpace | None) -> CosineBaseline:
        """See `ToolIndex`."""
        if space is None:
            return await self._database.baseline(tenant_id, None)
        return await self._ask(tenant_id, space, lambda index: index.baseline(tenant_id, space))

    async def signals(self, scope: SearchScope, space: StoredSpace | None, queries: Sequence[ParsedQuery]) -> Signals:
        """See `ToolIndex`."""
        return await self._ask(scope.tenant_id, space, lambda index: index.signals(scope, space, queries))

    async def named(self, scope: SearchScope, space: StoredSpace | None, name: str) -> list[int]:
        """See `ToolIndex`."""
        return await self._ask(scope.tenant_id, space, lambda index: index.named(scope, space, name))

    async def cards(
        self, scope: SearchScope, space: StoredSpace | None, tool_ids: Collection[int]
    ) -> Mapping[int, ToolCard]:
        """See `ToolIndex`."""
        return await self._ask(scope.tenant_id, space, lambda index: index.cards(scope, space, tool_ids))

    async def prepare(self, space: StoredSpace) -> None:
        """See `ToolIndex`."""
        await self._memory.prepare(space)
        await self._database.prepare(space)

    async def aclose(self) -> None:
        """See `ToolIndex`."""
        await self._memory.aclose()
        await self._database.aclose()

    async def _ask(
        self, tenant_id: int, space: StoredSpace | None, ask: Callable[[ToolIndex], Awaitable[ResultT]]
    ) -> ResultT:
        # Without vectors a tenant may fit that does not with them.
        key = (tenant_id, None if space is None else space.id)
        try:
            answer = await ask(self._memory)
            self._said.discard(key)
            return answer
        except IndexTooLargeError as error:
            if key not in self._said:
                self._said.add(key)
                logger.warning("%s Until then it is searched in PostgreSQL.", error.message)
            return await ask(self._database)
