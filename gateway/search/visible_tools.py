"""The tools that a set of roles can find, in the two forms that a search takes them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class VisibleTools:
    """What callers with the same roles can find: `count` tools.

    `bitmap` has a bit for the position of each, lowest bit first. `ids` names them, None where they are too many to be
    compared one by one.
    """

    count: int
    bitmap: bytes
    ids: tuple[int, ...] | None

    @classmethod
    def of(cls, ids: Sequence[int], positions: Sequence[int], exact_tools: int) -> VisibleTools:
        """These tools, given by id and position in the same order; of more than `exact_tools` the bitmap alone."""
        if not ids:
            return cls(0, b"", ())
        bits = np.zeros(max(positions) + 1, dtype=np.uint8)
        bits[np.asarray(positions)] = 1
        bitmap = np.packbits(bits, bitorder="little").tobytes()
        return cls(len(ids), bitmap, tuple(ids) if len(ids) <= exact_tools else None)
