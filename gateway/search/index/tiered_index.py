"""Which index a tenant is searched in: the one in memory, or PostgreSQL where it does not fit."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from gateway.embedding.space_store import StoredSpace
from gateway.errors import IndexTooLargeError
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.query_form import QueryForm, Vocabulary
from gateway.search.ranking import Background, Signals

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

    def pinned(self, tenant_id: int) -> AbstractContextManager[None]:
        """See `ToolIndex`."""
        return self._memory.pinned(tenant_id)

    async def vocabulary(
        self, scope: SearchScope, space: StoredSpace | None, texts: Sequence[str], most_corrected: int
    ) -> Vocabulary:
        """See `ToolIndex`."""
        return await self._ask(
            scope.tenant_id, space, lambda index: index.vocabulary(scope, space, texts, most_corrected)
        )

    async def background(self, tenant_id: int, space: StoredSpace | None) -> Background:
        """See `ToolIndex`."""
        if space is None:
            return await self._database.background(tenant_id, None)
        return await self._ask(tenant_id, space, lambda index: index.background(tenant_id, space))

    async def signals(self, scope: SearchScope, space: StoredSpace | None, queries: Sequence[QueryForm]) -> Signals:
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
