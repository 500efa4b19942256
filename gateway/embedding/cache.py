"""Vectors of queries that were embedded before, keyed by space and SHA-256 of the text."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
from cachetools import TLRUCache

from gateway.database.notices import Notice, Notices
from gateway.database.pool import Database
from gateway.embedding.embedder import Vectors
from gateway.embedding.embedding_log import log_embeddings
from gateway.errors import ConflictError, DatabaseUnavailableError

# How often, in stored vectors, the table is cut back to its size.
_TRIM_EVERY = 500
# What an entry takes beside the numbers of its vector, about.
_ENTRY_BYTES = 500

_Key: TypeAlias = "tuple[int, bytes]"


class QueryEmbedder(Protocol):
    """Of an `Embedder`, what makes vectors of queries."""

    @property
    def name(self) -> str: ...

    @property
    def is_remote(self) -> bool: ...

    async def embed_query(self, text: str) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class _Kept:
    """A vector, and how many seconds of its life were left when it came here."""

    vector: Vectors
    seconds_left: float


class QueryCache:
    """Recent ones in memory; those of embedders behind a network also in the database, for all processes."""

    def __init__(
        self,
        database: Database,
        ttl_seconds: float = 86_400,
        notices: Notices | None = None,
        *,
        max_bytes: int = 16 * 2**20,
        max_in_database: int = 20_000,
        is_kept: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A vector is used for `ttl_seconds` after it was made. Beyond `max_bytes` in memory and `max_in_database`
        vectors those go that were used the longest ago. With `is_kept` false equal queries at one time are still one
        call. `clock` gives seconds.
        """
        self._database = database
        self._ttl_seconds = float(ttl_seconds)
        self._recent: TLRUCache[_Key, _Kept] = TLRUCache(
            max_bytes,
            ttu=lambda _, kept, now: now + kept.seconds_left,
            timer=clock,
            getsizeof=lambda kept: kept.vector.nbytes + _ENTRY_BYTES,
        )
        self._under_way: dict[_Key, asyncio.Task[Vectors]] = {}
        self._max_in_database = max_in_database
        self._is_kept = is_kept
        self._stored = 0
        self.lookups: dict[str, float] = {"memory": 0, "waited": 0, "database": 0, "embedded": 0}
        """How many queries were found where; `waited` are those that the embedder had just been asked for."""
        if notices is not None:
            notices.subscribe(self._on_notice)

    @property
    def hit_rate(self) -> float | None:
        """The share of queries, 0 to 1, that cost no call of the embedder; None before the first one."""
        looked_up = sum(self.lookups.values())
        return 1 - self.lookups["embedded"] / looked_up if looked_up else None

    def recent(self, space_id: int, texts: Sequence[str], name: str) -> list[Vectors] | None:
        """The vectors of all these texts, float32, shape (d,), where all are in memory; no task has to run for them.

        `name` is that of their embedder, `SERVICE/MODEL`.
        """
        started = time.perf_counter()
        kept = [self._recent.get(_key(space_id, text)) for text in texts]
        vectors = [each.vector for each in kept if each is not None]
        if len(vectors) < len(texts):
            return None
        self.lookups["memory"] += len(texts)
        log_embeddings(name, texts, time.perf_counter() - started, cache_hit=True)
        return vectors

    async def get_or_embed(self, space_id: int, text: str, embedder: QueryEmbedder) -> Vectors:
        """The vector of `text`, float32, shape (d,): from the cache, else from `embedder`, once for all who ask."""
        started = time.perf_counter()
        key = _key(space_id, text)
        kept = self._recent.get(key)
        task = None if kept is not None else self._under_way.get(key)
        if kept is None and task is None:
            task = self._under_way[key] = asyncio.create_task(self._load_or_embed(key, text, embedder))
            task.add_done_callback(partial(self._end, key))
            return await asyncio.shield(task)
        # Who gives up waiting takes nothing from the others.
        vector = kept.vector if kept is not None else await asyncio.shield(self._under_way[key])
        self.lookups["waited" if kept is None else "memory"] += 1
        log_embeddings(embedder.name, [text], time.perf_counter() - started, cache_hit=True)
        return vector

    async def clear(self) -> int:
        """Forget all queries, in every process; returns how many were in the database."""
        self._recent.clear()
        return int(await self._database.fetchval("clear_query_embeddings"))

    async def count_stored(self) -> int:
        """Of how many queries the database keeps vectors."""
        return int(await self._database.fetchval("count_query_embeddings", self._ttl_seconds))

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_notice(self, notice: Notice) -> None:
        if notice.cleared_queries is not None:
            self._recent.clear()

    def _end(self, key: _Key, task: asyncio.Task[Vectors]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            # Everybody who asked may have gone by now.
            task.exception()

    async def _load_or_embed(self, key: _Key, text: str, embedder: QueryEmbedder) -> Vectors:
        started = time.perf_counter()
        kept, has_database = None, embedder.is_remote and self._is_kept
        if has_database:
            try:
                kept = await self._load(key)
            except DatabaseUnavailableError:
                has_database = False
        if kept is not None:
            self.lookups["database"] += 1
            log_embeddings(embedder.name, [text], time.perf_counter() - started, cache_hit=True)
        else:
            self.lookups["embedded"] += 1
            kept = _Kept(await embedder.embed_query(text), self._ttl_seconds)
            if has_database:
                await self._store(key, kept.vector)
        if self._is_kept:
            self._recent[key] = kept
        return kept.vector

    async def _load(self, key: _Key) -> _Kept | None:
        row = await self._database.fetchrow("cached_query_embedding", *key, self._ttl_seconds)
        if row is None:
            return None
        return _Kept(row["embedding"].to_numpy().astype(np.float32), self._ttl_seconds - row["age"])

    async def _store(self, key: _Key, vector: Vectors) -> None:
        try:
            await self._database.execute("store_query_embedding", *key, vector)
            self._stored += 1
            if self._stored % _TRIM_EVERY == 0:
                await self._database.execute("trim_query_embeddings", self._max_in_database, self._ttl_seconds)
        except (ConflictError, DatabaseUnavailableError):
            # The vector is there; that it could not be kept, or its space is being given up, costs only time.
            return


def _key(space_id: int, text: str) -> _Key:
    return space_id, hashlib.sha256(text.encode("utf-8", "replace")).digest()
