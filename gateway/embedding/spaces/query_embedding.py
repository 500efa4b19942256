"""Vectors of queries: from the cache or an embedder, in the time that a search has for them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gateway.embedding.cache import QueryCache
from gateway.embedding.embedder import Embedder, Vectors
from gateway.embedding.spaces.configured_space import model_changed
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import EmbedderUnavailableError, EmbeddingError
from gateway.task_set import TaskSet

if TYPE_CHECKING:
    from gateway.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """Queries in a space: `vectors` is float32, shape (n, space.dimensions), in their order.

    `standby_for` says why it is not the space that serves, empty where it is.
    """

    stored: StoredSpace
    vectors: Vectors
    standby_for: str = ""


class QueryCounts:
    """How many queries each space answered, and in how many seconds, by `MODEL #SPACE`."""

    def __init__(self) -> None:
        self.count: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def add(self, stored: StoredSpace, queries: int, seconds: float) -> None:
        """So many queries took so long together."""
        name = f"{stored.space.model} #{stored.id}"
        self.count[name] = self.count.get(name, 0) + queries
        self.seconds[name] = self.seconds.get(name, 0) + seconds


class QueryEmbedding:
    """Embeds queries in spaces, each through the cache."""

    def __init__(
        self,
        cache: QueryCache,
        embedder_for: Callable[[StoredSpace], Awaitable[Embedder]],
        budget_ms: int,
        metrics: Metrics | None = None,
    ) -> None:
        """`embedder_for` raises EmbeddingError. A search waits `budget_ms` at most for what others can answer."""
        self._cache = cache
        self._embedder_for = embedder_for
        self._budget_ms = budget_ms
        self._metrics = metrics
        self._under_way = TaskSet()
        self.counts = QueryCounts()

    async def embed_for_search(
        self, stored: StoredSpace, texts: Sequence[str], *, is_replaceable: bool
    ) -> QueryVectors:
        """Queries in a space. Raises EmbeddingError, where it `is_replaceable` also for those that take longer than a
        search waits.
        """
        started = time.perf_counter()
        try:
            vectors = self._recent(stored, texts)
            if vectors is None:
                vectors = await (self._within_budget(stored, texts) if is_replaceable else self.embed(stored, texts))
        except EmbeddingError:
            self._observe("failed", time.perf_counter() - started)
            raise
        seconds = time.perf_counter() - started
        self.counts.add(stored, len(texts), seconds)
        self._observe("ok", seconds)
        return QueryVectors(stored, vectors)

    async def embed(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
        """Queries in a space, however long it takes: float32, shape (n, d). Raises EmbeddingError."""
        embedder = await self._embedder_for(stored)
        embedded = [self._cache.get_or_embed(stored.id, text, embedder) for text in texts]
        vectors = [await embedded[0]] if len(embedded) == 1 else await asyncio.gather(*embedded)
        return _stack(stored, vectors)

    async def aclose(self) -> None:
        """End what is under way."""
        await self._under_way.aclose()

    def _observe(self, outcome: str, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.observe_embedding("query", outcome, seconds)

    def _recent(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors | None:
        vectors = self._cache.recent(stored.id, texts, f"{stored.space.provider}/{stored.space.model}")
        return None if vectors is None else _stack(stored, vectors)

    async def _within_budget(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
        embedding = asyncio.ensure_future(self.embed(stored, texts))
        done, _ = await asyncio.wait([embedding], timeout=self._budget_ms / 1000)
        if done:
            return embedding.result()
        # What is under way goes on: the next one who asks finds it in the cache.
        self._under_way.spawn(_let_end(embedding))
        raise EmbedderUnavailableError(
            f"{stored.space.model} has not answered within {self._budget_ms} ms",
            "see what the embedder is doing, or raise embedder.query_budget_ms",
        )


def _stack(stored: StoredSpace, vectors: Sequence[Vectors]) -> Vectors:
    if any(vector.shape != (stored.space.dimensions,) for vector in vectors):
        raise model_changed(stored)
    return np.stack(vectors)


async def _let_end(embedding: asyncio.Future[Vectors]) -> None:
    try:
        await embedding
    except EmbeddingError as error:
        logger.info("A query that was answered from the standby was not embedded later either: %s", error)
