"""Which vectors mean the same: groups in which each is next to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.embedding.embedder import Vectors

DUPLICATE_COSINE = 0.95
"""Two tools whose combined texts are this near in meaning do the same thing."""

_ROWS_PER_PRODUCT = 512


@dataclass(frozen=True, slots=True)
class DuplicateRows:
    """Rows that go together; `similarity` is the least cosine of two that are next to each other."""

    rows: tuple[int, ...]
    similarity: float


def find_duplicates(
    vectors: Vectors, threshold: float = DUPLICATE_COSINE, apart: Sequence[int] | None = None
) -> list[DuplicateRows]:
    """Groups of unit vectors, shape (n, d), in which each has a cosine of `threshold` and more with another; the
    largest first. With `apart`, a number for each row, those with the same number are not compared.
    """
    count = len(vectors)
    labels, least = np.arange(count), np.full(count, 2.0, dtype=np.float32)
    numbers = None if apart is None else np.asarray(apart)
    for start in range(0, count, _ROWS_PER_PRODUCT):
        cosines = vectors[start : start + _ROWS_PER_PRODUCT] @ vectors.T
        near = cosines >= threshold
        if numbers is not None:
            near &= numbers[start : start + _ROWS_PER_PRODUCT, None] != numbers[None, :]
        for offset in np.flatnonzero(near.any(axis=1)):
            row = start + int(offset)
            others = np.flatnonzero(near[offset])
            others = others[others != row]
            if not len(others):
                continue
            least[row] = cosines[offset, others].min()
            joined = np.unique(np.append(labels[others], labels[row]))
            if len(joined) > 1:
                labels[np.isin(labels, joined)] = joined[0]
    rows_of: dict[int, list[int]] = {}
    for row in np.flatnonzero(least <= 1.5).tolist():
        rows_of.setdefault(int(labels[row]), []).append(row)
    groups = [DuplicateRows(tuple(rows), round(float(least[rows].min()), 4)) for rows in rows_of.values()]
    return sorted(groups, key=lambda group: (-len(group.rows), -group.similarity, group.rows))
