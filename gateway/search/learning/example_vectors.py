"""The vectors of examples, in whatever space they are needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from cachetools import LRUCache

from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import TextRefusedError
from gateway.search.ranking import Floats

_MOST = 5_000
_MAX_REFUSED = 10_000


class ExampleVectors:
    """Embeds examples as queries of a space and keeps that in the database, whatever their state: what was taken away
    or waits has to be known again in another space, too.
    """

    def __init__(self, database: Database, spaces: Spaces) -> None:
        self._database = database
        self._spaces = spaces
        # What the model refuses it will refuse again.
        self._refused: LRUCache[tuple[int, int, int], TextRefusedError] = LRUCache(_MAX_REFUSED)

    async def fill(self, space: StoredSpace, tenant_id: int, tool_ids: Collection[int]) -> None:
        """Embed the examples of tools that have no vector in `space` yet, 5,000 at most. Raises EmbeddingError."""
        await self.get(
            space,
            tenant_id,
            await self._database.fetch("examples_to_embed", tenant_id, list(tool_ids), space.id, _MOST),
        )

    async def get(
        self, space: StoredSpace, tenant_id: int, rows: Sequence[Row]
    ) -> tuple[dict[int, Floats], dict[int, TextRefusedError]]:
        """The vectors of examples by their ids, float32 (d,) each, of rows with `id`, `text` and `embedding`, which may
        be null; and why the model refuses those of which there is none. Raises EmbeddingError.
        """
        vectors: dict[int, Floats] = {}
        refusals: dict[int, TextRefusedError] = {}
        embedded: list[tuple[int, int, int, Floats, str]] = []
        for row in rows:
            example_id = row["id"]
            if row["embedding"] is not None:
                vectors[example_id] = row["embedding"].to_numpy().astype(np.float32)
                continue
            # An example may get other words; those that it had are not kept here.
            wording = (space.id, example_id, hash(row["text"]))
            refusal = self._refused.get(wording)
            if refusal is None:
                try:
                    (vectors[example_id],) = await self._spaces.embed_queries_in(space, [row["text"]])
                except TextRefusedError as error:
                    refusal = self._refused[wording] = error
                else:
                    embedded.append((tenant_id, example_id, space.id, vectors[example_id], row["text"]))
            if refusal is not None:
                refusals[example_id] = refusal
        if embedded:
            async with self._database.tenant_transaction(tenant_id) as transaction:
                await transaction.executemany("store_example_embedding", embedded)
        return vectors, refusals
