"""The cache of query vectors: what is asked of the embedder again, and what is not."""

from __future__ import annotations

import numpy as np

from gateway.components import Components
from gateway.embedding.cache import QueryCache
from gateway.embedding.embedder import Vectors
from gateway.embedding.local.static_model import StaticEmbedder
from tests.support.rows import value


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
    cache, embedder = QueryCache(parts.database, max_in_memory=2), CountingEmbedder()
    for query in ("one", "two", "one", "three", "one", "two"):
        await cache.get_or_embed(1, query, embedder)
    assert embedder.queries == ["one", "two", "three", "two"]


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
