"""A tenant's catalogue in memory, as far as it is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.search.index.tenant_index import TenantIndex
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope

NEVER_READ = -1
"""The version of a catalogue of which nothing is read."""

_FROM_THE_START = "0"
# A tool's texts, terms and names, beside its vector; real tools take two thirds of it.
_ASSUMED_BYTES_PER_TOOL = 4_000
# What is there of a tenant without tools, too.
_BYTES_OF_ITSELF = 3_000


def assumed_bytes(tools: int, dimensions: int) -> int:
    """What so many tools take, with their vectors, before they are read."""
    return tools * (_ASSUMED_BYTES_PER_TOOL + 4 * dimensions)


@dataclass(slots=True)
class LoadedTenant:
    """A tenant's index in one space, and what it was last brought up to: the catalogue's version, and where the next
    changes begin.

    `announced` counts what may have changed it, `read` is how much of that it has taken in. `too_large` is the
    number of tools where all together do not fit. Where only reading them showed that, one took
    `measured_bytes_per_tool`, which is believed until `measure_again_at`. `behind_since`
    is the monotonic time of the first change that it has not read, where there is one.
    """

    index: TenantIndex
    cards: dict[int, ToolCard] = field(default_factory=dict)
    servers: dict[int, tuple[str, str]] = field(default_factory=dict)
    version: int = NEVER_READ
    horizon: str = _FROM_THE_START
    announced: int = 1
    read: int = 0
    updating: asyncio.Task[None] | None = None
    too_large: int | None = None
    measured_bytes_per_tool: int = 0
    measure_again_at: float = 0.0
    behind_since: float = field(default_factory=time.monotonic)

    def announce(self) -> None:
        """Something may have changed it."""
        if self.read == self.announced:
            self.behind_since = time.monotonic()
        self.announced += 1

    @property
    def size_bytes(self) -> int:
        """What it holds in memory, roughly."""
        return _BYTES_OF_ITSELF + self.index.size_bytes

    @property
    def is_updating(self) -> bool:
        """Whether what has changed is being read."""
        return self.updating is not None and not self.updating.done()

    @property
    def is_to_be_measured(self) -> bool:
        """Whether it was put off for what it took before, and that is no longer believed."""
        is_put_off = self.too_large is not None and self.version == NEVER_READ
        return is_put_off and self.measure_again_at <= time.monotonic()

    def bytes_per_tool(self) -> int:
        """What a tool takes, with its vector, as far as that is known."""
        if time.monotonic() < self.measure_again_at:
            return self.measured_bytes_per_tool
        return assumed_bytes(1, self.index.dimensions)

    def clear(self) -> None:
        """Hold nothing, as at the beginning."""
        self.index = TenantIndex(self.index.dimensions)
        self.cards, self.servers, self.horizon = {}, {}, _FROM_THE_START

    def forget(self, tool_ids: Collection[int]) -> None:
        """These tools are not there any more."""
        self.index.remove(tool_ids)
        for tool_id in tool_ids:
            self.cards.pop(tool_id, None)

    def is_in_scope(self, mask: NDArray[np.bool_], scope: SearchScope, tool_id: int) -> bool:
        """Whether a search of that scope may find a tool; `mask` says by position which ones its caller sees."""
        position = self.index.position(tool_id)
        card = self.cards[tool_id]
        return (
            position < len(mask)
            and bool(mask[position])
            and (scope.category is None or card.category == scope.category)
            and (scope.server_id is None or card.server_id == scope.server_id)
        )
