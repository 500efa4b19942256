"""The cache of query vectors: what is asked of the embedder again, and what is not."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.components import Components
from gateway.database.notices import Notices
from gateway.embedding.cache import QueryCache
from gateway.embedding.embedder import Vectors
from gateway.embedding.local.static_model import StaticEmbedder
from gateway.errors import EmbedderUnavailableError
from tests.support.rows import rows, value
from tests.support.waiting import until


class CountingEmbedder(StaticEmbedder):
    """Keeps the queries that it is asked for."""

    def __init__(self, *, is_remote: bool = False) -> None:
        super().__init__()
        self.is_remote = is_remote
        self.queries: list[str] = []

    async def embed_query(self, text: str) -> Vectors:
        self.queries.append(text)
        return await super().embed_query(text)


async def test_the_queries_used_last_are_kept_in_memory(parts: Components) -> None:
    cache, embedder = QueryCache(parts.database, max_bytes=3_500), CountingEmbedder()
    for query in ("one", "two", "one", "three", "one", "two"):
        await cache.get_or_embed(1, query, embedder)
    assert embedder.queries == ["one", "two", "three", "two"]


async def test_a_cache_that_keeps_nothing_still_asks_once_for_equal_queries_at_one_time(parts: Components) -> None:
    cache, embedder = QueryCache(parts.database, is_kept=False), CountingEmbedder(is_remote=True)
    space = (await parts.spaces.configured_space()).id
    await asyncio.gather(*(cache.get_or_embed(space, "one", embedder) for _ in range(20)))
    assert embedder.queries == ["one"]
    await cache.get_or_embed(space, "one", embedder)
    assert embedder.queries == ["one", "one"]
    assert await cache.count_stored() == 0


async def test_the_same_text_in_another_space_is_another_query(parts: Components) -> None:
    cache, embedder = QueryCache(parts.database), CountingEmbedder()
    await cache.get_or_embed(1, "one", embedder)
    await cache.get_or_embed(2, "one", embedder)
    assert embedder.queries == ["one", "one"]
    assert await value(parts.database.url, "SELECT count(*) FROM query_embeddings") == 0


async def test_what_a_remote_embedder_made_is_there_for_every_process(parts: Components) -> None:
    embedder = CountingEmbedder(is_remote=True)
    space = (await parts.spaces.configured_space()).id
    made = await QueryCache(parts.database).get_or_embed(space, "one", embedder)
    found = await QueryCache(parts.database).get_or_embed(space, "one", embedder)
    assert embedder.queries == ["one"]
    assert found.dtype == np.float32
    assert np.allclose(made, found, atol=1e-3)


async def test_a_space_that_is_being_dropped_costs_no_query(parts: Components) -> None:
    embedder = CountingEmbedder(is_remote=True)
    assert (await QueryCache(parts.database).get_or_embed(-1, "one", embedder)).shape == (256,)


class HeldEmbedder(CountingEmbedder):
    """Answers once it is let, with a failure where it is to fail."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(is_remote=True)
        self.let = asyncio.Event()
        self.fails = fails

    async def embed_query(self, text: str) -> Vectors:
        vector = await super().embed_query(text)
        await self.let.wait()
        if self.fails:
            raise EmbedderUnavailableError("It is down", "try again")
        return vector


async def test_a_thousand_equal_queries_at_once_are_one_call(parts: Components) -> None:
    space = (await parts.spaces.configured_space()).id
    cache, embedder = QueryCache(parts.database), HeldEmbedder()
    asking = [asyncio.create_task(cache.get_or_embed(space, "one", embedder)) for _ in range(1_000)]
    await until(lambda: bool(embedder.queries))
    # The one that asked first gives up, which costs the others nothing.
    asking[0].cancel()
    embedder.let.set()
    vectors = await asyncio.gather(*asking[1:])
    assert embedder.queries == ["one"]
    assert all(vector is vectors[0] for vector in vectors)
    assert (cache.lookups["embedded"], cache.lookups["waited"]) == (1, 999)
    assert cache.hit_rate == pytest.approx(0.999)


async def test_a_failure_is_told_to_all_who_asked_and_kept_for_nobody(parts: Components) -> None:
    space = (await parts.spaces.configured_space()).id
    cache, embedder = QueryCache(parts.database), HeldEmbedder(fails=True)
    asking = [asyncio.create_task(cache.get_or_embed(space, "one", embedder)) for _ in range(3)]
    embedder.let.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [EmbedderUnavailableError] * 3
    embedder.fails = False
    await cache.get_or_embed(space, "one", embedder)
    assert embedder.queries == ["one", "one"]


async def test_a_vector_that_is_too_old_is_made_anew_in_every_process(parts: Components) -> None:
    space = (await parts.spaces.configured_space()).id
    embedder = CountingEmbedder(is_remote=True)
    await QueryCache(parts.database, ttl_seconds=60).get_or_embed(space, "one", embedder)
    await rows(parts.database.url, "UPDATE query_embeddings SET made_at = now() - interval '61 seconds'")
    other = QueryCache(parts.database, ttl_seconds=60)
    assert await other.count_stored() == 0
    await other.get_or_embed(space, "one", embedder)
    assert embedder.queries == ["one", "one"]
    assert await other.count_stored() == 1


async def test_a_vector_from_the_database_is_as_old_in_memory_as_it_is_there(parts: Components) -> None:
    space = (await parts.spaces.configured_space()).id
    embedder, seconds = CountingEmbedder(is_remote=True), 1000.0
    await QueryCache(parts.database).get_or_embed(space, "one", embedder)
    await rows(parts.database.url, "UPDATE query_embeddings SET made_at = now() - interval '500 seconds'")
    cache = QueryCache(parts.database, ttl_seconds=1_000, clock=lambda: seconds)
    for after, found in (
        (0, {"database": 1}),
        (300, {"database": 1, "memory": 1}),
        (300, {"database": 2, "memory": 1}),
    ):
        seconds += after
        await cache.get_or_embed(space, "one", embedder)
        assert {source: count for source, count in cache.lookups.items() if count} == found
    assert embedder.queries == ["one"]


async def test_cleared_queries_are_forgotten_in_every_process(parts: Components) -> None:
    space = (await parts.spaces.configured_space()).id
    embedder, notices = CountingEmbedder(is_remote=True), Notices(parts.database)
    cache = QueryCache(parts.database, notices=notices)
    async with notices.listening():
        await cache.get_or_embed(space, "one", embedder)
        await cache.get_or_embed(space, "one", embedder)
        assert embedder.queries == ["one"]
        assert await QueryCache(parts.database).clear() == 1
        await until(lambda: not cache._recent)
        await cache.get_or_embed(space, "one", embedder)
    assert embedder.queries == ["one", "one"]
