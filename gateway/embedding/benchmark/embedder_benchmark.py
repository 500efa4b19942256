"""How fast an embedder is, what its cache saves, and whether its vectors tell like from unlike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.embedding.benchmark.texts import LIKE_PAIRS, UNLIKE_PAIRS, make_texts
from gateway.embedding.cache import QueryCache
from gateway.embedding.embedder import Embedder, EmbeddingSpace, Vectors, stack_vectors
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.text_length import estimate_tokens

_BATCHES = (1, 8, 32, 128)
# Each part of a measurement begins nothing new after so long.
_PART_SECONDS = 30.0
# In a mix of requests every text comes so often.
_REPEATS = 4
_MIXED_TEXTS = 20
_NOT_STORED = -1


@dataclass(frozen=True, slots=True)
class QueryTimes:
    """Milliseconds of `count` different queries, one after the other."""

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class BatchRate:
    """What became of `batch` texts handed over at once: `embedded` of them within `seconds`."""

    batch: int
    embedded: int
    seconds: float
    texts_per_second: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class CacheEffect:
    """Of `requests`, `hits` needed no embedder; the milliseconds are medians."""

    requests: int
    hits: int
    hit_rate: float
    hit_ms: float
    miss_ms: float


@dataclass(frozen=True, slots=True)
class Similarity:
    """Cosines of texts that say the same, and of texts that have nothing to do with each other."""

    like_mean: float
    like_least: float
    unlike_mean: float
    unlike_most: float


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All that was measured of an embedder; `first_ms` is its first vector, a model that had to load included.

    Tokens are estimated.
    """

    space: EmbeddingSpace
    first_ms: float
    queries: QueryTimes
    throughput: BatchRate
    batches: tuple[BatchRate, ...]
    cache: CacheEffect
    similarity: Similarity


class _CountedEmbedder:
    """An embedder that counts for how many queries it is asked."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name = embedder.name
        self.is_remote = embedder.is_remote
        self.count = 0

    async def embed_query(self, text: str) -> Vectors:
        self.count += 1
        return await self._embedder.embed_query(text)


class EmbedderBenchmark:
    """Measures one embedder, with texts that no cache knows."""

    def __init__(self, embedder: Embedder, cache: QueryCache, stored: Sequence[StoredSpace]) -> None:
        """`stored` are the spaces that are known: of another one, `cache` keeps vectors in memory alone."""
        self._embedder = embedder
        self._cache = cache
        self._stored = stored

    async def run(self, queries: int, texts: int) -> Benchmark:
        """Measure with so many queries and texts, fewer where they take longer than 30 s. Raises EmbeddingError."""
        started = time.perf_counter()
        await self._embedder.embed_query(make_texts(1)[0])
        first_ms = (time.perf_counter() - started) * 1000
        space = await self._embedder.space()
        return Benchmark(
            space=space,
            first_ms=first_ms,
            queries=await self._time_queries(queries),
            # From one text at once to many, so that what adapts to the server has seen it before it counts.
            batches=tuple([await self._rate(batch) for batch in _BATCHES]),
            throughput=await self._rate(texts),
            cache=await self._measure_cache(space),
            similarity=await self._compare(),
        )

    async def _time_queries(self, count: int) -> QueryTimes:
        until = time.monotonic() + _PART_SECONDS
        taken: list[float] = []
        for text in make_texts(count):
            started = time.perf_counter()
            await self._embedder.embed_query(text)
            taken.append((time.perf_counter() - started) * 1000)
            if time.monotonic() > until:
                break
        p50, p95, p99 = (float(each) for each in np.percentile(taken, (50, 95, 99)))
        return QueryTimes(len(taken), float(np.mean(taken)), p50, p95, p99)

    async def _rate(self, batch: int) -> BatchRate:
        texts = make_texts(batch)
        started = time.monotonic()
        embedded = await self._embedder.embed_each(texts, started + _PART_SECONDS)
        seconds = max(time.monotonic() - started, 1e-6)
        if embedded.failure is not None:
            raise embedded.failure
        tokens = sum(estimate_tokens(texts[place]) for place in embedded.vectors)
        done = len(embedded.vectors)
        return BatchRate(batch, done, seconds, done / seconds, tokens / seconds)

    async def _measure_cache(self, space: EmbeddingSpace) -> CacheEffect:
        space_id = next((each.id for each in self._stored if each.space == space), _NOT_STORED)
        until = time.monotonic() + _PART_SECONDS
        counted = _CountedEmbedder(self._embedder)
        hits: list[float] = []
        misses: list[float] = []
        # All of them once, then all of them again: what a hit saves is not to depend on their order.
        for text in make_texts(_MIXED_TEXTS) * _REPEATS:
            before = counted.count
            started = time.perf_counter()
            await self._cache.get_or_embed(space_id, text, counted)
            taken = (time.perf_counter() - started) * 1000
            (hits if counted.count == before else misses).append(taken)
            if time.monotonic() > until:
                break
        requests = len(hits) + len(misses)
        return CacheEffect(
            requests, len(hits), len(hits) / requests, float(np.median(hits)) if hits else 0.0, float(np.median(misses))
        )

    async def _compare(self) -> Similarity:
        like, unlike = await self._cosines(LIKE_PAIRS), await self._cosines(UNLIKE_PAIRS)
        return Similarity(float(like.mean()), float(like.min()), float(unlike.mean()), float(unlike.max()))

    async def _cosines(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """Of each pair, float32, shape (len(pairs),)."""
        texts = [text for pair in pairs for text in pair]
        vectors = stack_vectors(await self._embedder.embed_each(texts), len(texts))
        cosines: Vectors = np.einsum("nd,nd->n", vectors[::2], vectors[1::2])
        return cosines
