"""Hits whose documents are behind the catalogue are measured by their vectors as PostgreSQL has them at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.index.opensearch.search_bodies import NO_CHECKSUM
from gateway.search.query.parsed_query import ParsedQuery
from gateway.search.ranking import CosineBaseline, Signals, fuse

LOOKED_AT = 128
"""So many of the best are looked at: more than an answer shows, and those that come next."""


class StaleDocuments:
    """A document follows its tool within a second or two; what was forgotten must not rank by it meanwhile."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def measured_anew(
        self,
        tenant_id: int,
        space: StoredSpace,
        queries: Sequence[ParsedQuery],
        signals: Signals,
        checksums: Mapping[int, int],
        baseline: CosineBaseline,
    ) -> Signals:
        """The signals, with the cosines of those among the best whose document is another one by now.

        `checksums` are those of the documents that were measured, by tool. Raises DatabaseError.
        """
        vectors = [query.vector for query in queries if query.vector is not None]
        if signals.cosines is None or len(vectors) < len(queries):
            return signals
        places = np.argsort(-fuse(signals, baseline), kind="stable")[:LOOKED_AT].tolist()
        place_of = {int(signals.tool_ids[place]): place for place in places}
        rows = await self._database.fetch(
            "stale_documents",
            tenant_id,
            list(place_of),
            [checksums.get(tool_id, NO_CHECKSUM) for tool_id in place_of],
            space=space.id,
            dimensions=space.space.dimensions,
        )
        if not rows:
            return signals
        asked, cosines = np.stack(vectors), signals.cosines.copy()
        for row in rows:
            known = row["ranking_embedding"]
            cosines[:, place_of[row["id"]]] = (
                np.nan if known is None else asked @ known.to_numpy().astype(np.float32) - row["correction"]
            )
        return replace(signals, cosines=cosines)
