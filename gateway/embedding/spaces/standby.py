"""The built-in model beside another embedder: it answers while that one does not."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from gateway.embedding.embedder import EmbeddedTexts, Embedder, Vectors
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.errors import EmbeddingError

logger = logging.getLogger(__name__)


class Standby:
    """An embedder with a space of its own, which is kept filled and answers where another cannot."""

    def __init__(self, embedder: Embedder, store: SpaceStore) -> None:
        self._embedder = embedder
        self._store = store
        self._stored: StoredSpace | None = None
        self._is_filled = False

    async def space(self) -> StoredSpace:
        """Its space, registered, and anew where it was dropped. Raises EmbeddingError where the model does not load."""
        if self._stored is not None and not await self._store.exists(self._stored):
            self._stored, self._is_filled = None, False
        if self._stored is None:
            self._stored = await self._store.register(await self._embedder.space())
        return self._stored

    def holds(self, stored: StoredSpace) -> bool:
        """Whether that is its space, as far as it has been asked for."""
        return self._stored is not None and self._stored.id == stored.id

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        """See `Embedder.embed_each`."""
        return await self._embedder.embed_each(texts, until)

    async def embed_queries(self, texts: Sequence[str]) -> tuple[StoredSpace, Vectors] | None:
        """Its space and the vectors of queries in it, float32 (n, d); None where it does not hold every tool yet."""
        try:
            stored = await self.space()
            if not self._is_filled:
                records = await self._store.records()
                self._is_filled = any(
                    record.stored.id == stored.id and record.filled_at is not None for record in records
                )
            if not self._is_filled:
                return None
            return stored, np.stack([await self._embedder.embed_query(text) for text in texts])
        except EmbeddingError as error:
            logger.warning("The standby does not answer either: %s", error)
            return None

    async def aclose(self) -> None:
        """Close its embedder."""
        await self._embedder.aclose()
