"""Vectors of queries that were embedded before, keyed by space and text."""

from __future__ import annotations

import hashlib

import numpy as np
from cachetools import LRUCache

from gateway.database.pool import Database
from gateway.embedding.embedder import Embedder, Vectors
from gateway.errors import ConflictError, DatabaseUnavailableError

_IN_MEMORY = 2_000
_IN_DATABASE = 20_000
# How often, in stored vectors, the table is cut back to its size.
_TRIM_EVERY = 500


class QueryCache:
    """Recent ones in memory; those of embedders behind a network also in the database, for all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent: LRUCache[tuple[int, str], Vectors] = LRUCache(_IN_MEMORY)
        self._stored = 0

    async def vector(self, space_id: int, text: str, embedder: Embedder) -> Vectors:
        """The vector of `text`, float32, shape (d,): from the cache, else from `embedder`."""
        key = (space_id, text)
        found = self._recent.get(key)
        if found is None:
            found = await self._look_up(space_id, text, embedder)
            self._recent[key] = found
        return found

    async def _look_up(self, space_id: int, text: str, embedder: Embedder) -> Vectors:
        if not embedder.remote:
            return await embedder.embed_query(text)
        text_hash = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        stored = await self._database.fetchval("cached_query_embedding", space_id, text_hash)
        if stored is not None:
            vector: Vectors = stored.to_numpy().astype(np.float32)
            return vector
        vector = await embedder.embed_query(text)
        await self._store(space_id, text_hash, vector)
        return vector

    async def _store(self, space_id: int, text_hash: bytes, vector: Vectors) -> None:
        try:
            await self._database.execute("store_query_embedding", space_id, text_hash, vector)
            self._stored += 1
            if self._stored % _TRIM_EVERY == 0:
                await self._database.execute("trim_query_embeddings", _IN_DATABASE)
        except (ConflictError, DatabaseUnavailableError):
            # The vector is there; that it could not be kept, or its space is being given up, costs only time.
            return
