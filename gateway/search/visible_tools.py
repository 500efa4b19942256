"""The tools that a set of roles can find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database

_MAX_ROLE_SETS = 1_000


@dataclass(frozen=True, slots=True)
class VisibleTools:
    """What callers with the same roles can find: `count` tools.

    `bitmap` has a bit for the position of each, lowest bit first.
    """

    count: int
    bitmap: bytes

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Whether the tool at each position can be found; those beyond its end cannot."""
        return np.unpackbits(np.frombuffer(self.bitmap, np.uint8), bitorder="little").view(np.bool_)

    @classmethod
    def of(cls, positions: Sequence[int]) -> VisibleTools:
        """The tools at these positions."""
        if not positions:
            return cls(0, b"")
        bits = np.zeros(max(positions) + 1, dtype=np.uint8)
        bits[np.asarray(positions)] = 1
        return cls(len(positions), np.packbits(bits, bitorder="little").tobytes())


class VisibilityCache:
    """What sets of roles can find, kept until the catalogue, a role or a rule changes."""

    def __init__(self, database: Database, notices: Notices | None) -> None:
        """Nothing is kept without `notices`."""
        self._database = database
        self._visible: NotifiedCache[tuple[int, ...], VisibleTools] = NotifiedCache(notices, _MAX_ROLE_SETS)

    async def visible_tools(self, tenant_id: int, role_ids: tuple[int, ...]) -> VisibleTools:
        """The tools that these roles can find."""

        async def read() -> VisibleTools:
            row = await self._database.fetchrow("visible_tool_positions", tenant_id, list(role_ids))
            assert row is not None
            return VisibleTools.of(row["positions"])

        return await self._visible.get(tenant_id, role_ids, read)
