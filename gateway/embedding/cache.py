"""Vectors of queries that were embedded before, keyed by space and text."""

from __future__ import annotations

import hashlib
import time
from typing import Protocol

import numpy as np
from cachetools import LRUCache

from gateway.database.pool import Database
from gateway.embedding.embedder import Vectors
from gateway.embedding.embedding_log import log_embeddings
from gateway.errors import ConflictError, DatabaseUnavailableError

# How often, in stored vectors, the table is cut back to its size.
_TRIM_EVERY = 500


class QueryEmbedder(Protocol):
    """Of an `Embedder`, what makes vectors of queries."""

    @property
    def name(self) -> str: ...

    @property
    def is_remote(self) -> bool: ...

    async def embed_query(self, text: str) -> Vectors: ...


class QueryCache:
    """Recent ones in memory; those of embedders behind a network also in the database, for all processes."""

    def __init__(self, database: Database, max_in_memory: int = 2_000, max_in_database: int = 20_000) -> None:
        """Beyond the two numbers of vectors, those go that were used (in the database: made) the longest ago."""
        self._database = database
        self._recent: LRUCache[tuple[int, str], Vectors] = LRUCache(max_in_memory)
        self._max_in_database = max_in_database
        self._stored = 0

    async def get_or_embed(self, space_id: int, text: str, embedder: QueryEmbedder) -> Vectors:
        """The vector of `text`, float32, shape (d,): from the cache, else from `embedder`."""
        started = time.perf_counter()
        vector = self._recent.get((space_id, text))
        if vector is not None:
            log_embeddings(embedder.name, [text], time.perf_counter() - started, cache_hit=True)
        else:
            vector = await self._load_or_embed(space_id, text, embedder)
            self._recent[space_id, text] = vector
        return vector

    async def _load_or_embed(self, space_id: int, text: str, embedder: QueryEmbedder) -> Vectors:
        if not embedder.is_remote:
            return await embedder.embed_query(text)
        text_hash = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        started = time.perf_counter()
        stored = await self._database.fetchval("cached_query_embedding", space_id, text_hash)
        if stored is not None:
            log_embeddings(embedder.name, [text], time.perf_counter() - started, cache_hit=True)
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
                await self._database.execute("trim_query_embeddings", self._max_in_database)
        except (ConflictError, DatabaseUnavailableError):
            # The vector is there; that it could not be kept, or its space is being given up, costs only time.
            return
