"""Which of the texts that a tool has as examples says the same as another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.database.connection import Row
from gateway.search.ranking import Floats

NEAR_EQUAL = 0.95
"""Texts of one tool with this cosine are one example."""

_SMALLEST = 1e-9


@dataclass(slots=True)
class KnownText:
    """A text of a tool; `vector` float32 (d,) is None where it is not embedded. `id` is that of its example, 0 as long
    as it is none.
    """

    tool_id: int
    text_key: str
    vector: Floats | None
    id: int = 0


class KnownTexts:
    """The texts of some tools."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[int, str], KnownText] = {}
        self._of_tool: dict[int, list[KnownText]] = {}

    def add(self, text: KnownText) -> None:
        """Another one, after those that are there."""
        if (text.tool_id, text.text_key) not in self._by_key:
            self._by_key[text.tool_id, text.text_key] = text
            self._of_tool.setdefault(text.tool_id, []).append(text)

    def add_rows(self, rows: Sequence[Row]) -> None:
        """Those of `examples_with_vectors`."""
        for row in rows:
            vector = None if row["embedding"] is None else row["embedding"].to_numpy().astype(np.float32)
            self.add(KnownText(row["tool_id"], row["text_key"], vector, row["id"]))

    def find(self, tool_id: int, text_key: str, vector: Floats) -> KnownText | None:
        """The same but for case and marks, else the nearest that is near enough; `vector` float32 (d,)."""
        same = self._by_key.get((tool_id, text_key))
        if same is not None:
            return same
        nearest, highest = None, NEAR_EQUAL
        for text in self._of_tool.get(tool_id, ()):
            if text.vector is not None and (cosine := _cosine(text.vector, vector)) >= highest:
                nearest, highest = text, cosine
        return nearest


def _cosine(one: Floats, other: Floats) -> float:
    # The vectors of queries that a model reads less well may be longer than 1.
    return float(one @ other) / max(float(np.linalg.norm(one)) * float(np.linalg.norm(other)), _SMALLEST)
