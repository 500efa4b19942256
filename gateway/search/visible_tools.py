"""The tools that a set of roles can find, in the two forms that a search takes them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_FEW = 4_000


@dataclass(frozen=True, slots=True)
class VisibleTools:
    """What callers with the same roles can find: `count` tools.

    `bitmap` has a bit for the position of each, lowest bit first. `ids` names them, None where they are many: above
    4,000 walking an index and asking the bitmap is faster than comparing every one.
    """

    count: int
    bitmap: bytes
    ids: tuple[int, ...] | None


def visible_tools_of(ids: Sequence[int], positions: Sequence[int]) -> VisibleTools:
    """The audience of these tools, given by id and position in the same order."""
    if not ids:
        return VisibleTools(0, b"", ())
    bits = np.zeros(max(positions) + 1, dtype=np.uint8)
    bits[np.asarray(positions)] = 1
    return VisibleTools(
        len(ids), np.packbits(bits, bitorder="little").tobytes(), tuple(ids) if len(ids) <= _FEW else None
    )
