"""What learning from use changes, or would change: the places of the tools that were called, with and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import EmbeddingError
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.learning.background import BackgroundVectors
from gateway.search.learning.example_weight import ExampleRules
from gateway.search.learning.learnt_vector import WeightedExample, learn_vector
from gateway.search.query.parsed_query import MAX_CORRECTED, ParsedQuery, terms_of_each
from gateway.search.ranking import Floats, rank

_DAYS = 7
_MOST = 200


@dataclass(frozen=True, slots=True)
class ObservedChange:
    """A text that led to calls of a tool: the tool's place for it, counted from 1, without what is learnt from use and
    with it. What is learnt from the text itself is left out, for that would prove nothing.
    """

    text: str
    tool_id: int
    without: int
    with_learning: int


class Observation:
    """Works out places of tools that were called."""

    def __init__(self, database: Database, spaces: Spaces, index: ToolIndex, rules: ExampleRules) -> None:
        self._database = database
        self._spaces = spaces
        self._index = index
        self._rules = replace(rules, from_use="on")
        self._background = BackgroundVectors(spaces)

    async def changes(self, tenant_id: int, role_ids: tuple[int, ...]) -> list[ObservedChange]:
        """Of the texts that led to calls in the last week, the latest first, at most 200.

        Empty while no space serves, or the embedder does not answer.
        """
        space = await self._spaces.known_active_space()
        if space is None:
            return []
        try:
            background = await self._background.vectors(space)
        except EmbeddingError:
            return []
        scope = SearchScope(tenant_id, role_ids)
        baseline = await self._index.baseline(tenant_id, space)
        changes = []
        for row in await self._database.fetch("observed_examples", tenant_id, space.id, _DAYS, _MOST):
            vector = row["embedding"].to_numpy().astype(np.float32)
            others = await self._database.fetch(
                "learning_examples",
                tenant_id,
                row["tool_id"],
                space.id,
                self._rules.min_calls,
                self._rules.min_callers,
            )
            texts = (row["text"],)
            vocabulary = await self._index.vocabulary(scope, space, texts, MAX_CORRECTED)
            query = ParsedQuery(terms_of_each(texts, vocabulary)[0], vector)
            signals = await self._index.signals(scope, space, [query])
            position = np.flatnonzero(signals.tool_ids == row["tool_id"])
            if not len(position) or signals.cosines is None:
                continue
            base = row["ranking_embedding"].to_numpy().astype(np.float32)
            places = []
            for examples in (
                self._weighted(others, row["id"], row["trusted"], use=False),
                self._weighted(others, row["id"], row["trusted"], use=True),
            ):
                learnt = learn_vector(base, examples, background) if examples else None
                cosine = base @ vector if learnt is None else learnt.vector @ vector - learnt.correction
                cosines = signals.cosines.copy()
                cosines[0, position[0]] = cosine
                fused = rank(replace(signals, cosines=cosines), baseline).fused
                places.append(int((fused > fused[position[0]]).sum()) + 1)
            changes.append(ObservedChange(row["text"], row["tool_id"], *places))
        return changes

    def _weighted(self, rows: Sequence[Row], left_out: int, is_trusted: bool, *, use: bool) -> list[WeightedExample]:
        """The examples but for the one that is looked at, those from use where they are wanted."""
        weighted = []
        for row in rows:
            if row["id"] == left_out or row["embedding"] is None or (row["source"] == "use" and not use):
                continue
            weight = self._rules.weight(row, is_trusted=is_trusted)
            if weight > 0:
                vector: Floats = row["embedding"].to_numpy().astype(np.float32)
                weighted.append(WeightedExample(vector, weight, row["share"]))
        return weighted
