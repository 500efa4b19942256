"""Reading into memory, after a start, the tenants that are about to be searched."""

from __future__ import annotations

import contextlib

from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import DatabaseError, IndexTooLargeError
from gateway.search.index.loaded_tenant import assumed_bytes
from gateway.search.index.memory_index import MemoryIndex

# Whoever has not asked for so long may well not ask today.
_USED_WITHIN_DAYS = 7.0


class WarmUp:
    """Those whose keys were used last come first, as far as there is room: none goes for another."""

    def __init__(self, database: Database, spaces: Spaces, memory: MemoryIndex, max_bytes: int) -> None:
        """`memory` holds `max_bytes` at most."""
        self._database = database
        self._spaces = spaces
        self._memory = memory
        self._max_bytes = max_bytes

    async def run(self) -> None:
        """Read them, one after the other, between other work; what cannot be read is left to whoever searches it.

        Raises DatabaseError where it cannot be known who they are.
        """
        space = await self._spaces.known_active_space()
        if space is None:
            return
        for row in await self._database.fetch("recently_used_tenants", _USED_WITHIN_DAYS):
            expected = assumed_bytes(row["tools"], space.space.dimensions)
            if self._memory.size_bytes + expected <= self._max_bytes:
                with contextlib.suppress(DatabaseError, IndexTooLargeError):
                    await self._memory.baseline(row["tenant_id"], space)
