"""The embedding spaces at work: one serves searches, one is that of the configured embedder, one stands by.

The first two are the same until the model is changed, or another one is found behind its name. Then the configured
space is filled beside the active one, and takes its place when it is full.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.embedding.build_identity import BuildIdentity
from gateway.embedding.cache import QueryCache
from gateway.embedding.embedder import EmbeddedTexts, Embedder, Vectors, stack_vectors
from gateway.embedding.former_embedder import FormerEmbedder
from gateway.embedding.selection import costs_money
from gateway.embedding.space_store import SpaceRecord, SpaceStore, StoredSpace, same_but_build
from gateway.embedding.standby import Standby
from gateway.errors import EmbedderUnavailableError, EmbeddingError, ModelChangedError
from gateway.settings import EmbedderSettings
from gateway.task_set import TaskSet

logger = logging.getLogger(__name__)

# An embedder that does not say what its vectors are like is not asked again for so long: whoever asks, waits.
_FAILURE_SECONDS = 3.0
_WAITS_FOR_A_YES = "the model has other weights, and embedding all tools anew costs money: resume it to go on"


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """Queries in a space: `vectors` is float32, shape (n, space.dimensions), in their order.

    `standby_for` says why it is not the space that serves, empty where it is.
    """

    stored: StoredSpace
    vectors: Vectors
    standby_for: str = ""


@dataclass(frozen=True, slots=True)
class FillTarget:
    """A space to be filled, and what embeds texts for it."""

    stored: StoredSpace
    embed_each: Callable[[Sequence[str], float], Awaitable[EmbeddedTexts]]
    is_configured: bool = False


@dataclass(frozen=True, slots=True)
class FillPlan:
    """The spaces to fill, the most wanted first, and why one that is wanted is not among them."""

    targets: tuple[FillTarget, ...]
    failure: EmbeddingError | None = None


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


class Spaces:
    """Embeds documents into the space of the configured embedder, and queries into the one that serves."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        settings: EmbedderSettings,
        notices: Notices | None,
        standby: Embedder | None = None,
    ) -> None:
        """Without `notices` the spaces are read each time; without `standby` searches go by words instead."""
        self.embedder = embedder
        self.store = SpaceStore(database)
        self._settings = settings
        self._identity = BuildIdentity(embedder)
        self._standby = Standby(standby, self.store) if standby is not None else None
        self.query_cache = QueryCache(database, settings.cache_ttl_seconds, notices)
        self._configured: StoredSpace | None = None
        self._records: NotifiedCache[None, list[SpaceRecord]] = NotifiedCache(notices)
        self._former = FormerEmbedder(settings)
        self._learning_lock = asyncio.Lock()
        self._failure: EmbeddingError | None = None
        self._failed_at = 0.0
        self._configured_was_active = False
        self._superseded = False
        self._under_way = TaskSet()
        self.lacking: dict[str, float] = {}
        """Of how many tools vectors are `missing` or `refused`, as of the last look."""
        self.queries = QueryCounts()

    async def configured_space(self) -> StoredSpace:
        """The space of the configured embedder, registered, indexed, and active if none was.

        Where another process, with other settings, let another space take over from it, that one: the later settings
        hold. Raises EmbeddingError as long as the embedder has not said what its vectors are like.
        """
        if self._superseded:
            return await self.active_space()
        if self._configured is None:
            async with self._learning_lock:
                if self._configured is None:
                    self._configured = await self._learn_space()
        return self._configured

    async def active_space(self) -> StoredSpace:
        """The space that searches use. Raises EmbeddingError while there is none."""
        active = await self.known_active_space()
        if active is None:
            return await self.configured_space()
        self._follow(active)
        return active

    async def known_active_space(self) -> StoredSpace | None:
        """The space that searches use; None while there is none. No embedder is asked."""
        return next((record.stored for record in await self._read_records() if record.active), None)

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors in the configured space: float32, shape (len(texts), d). Raises EmbeddingError."""
        if not texts:
            return np.empty((0, (await self.configured_space()).space.dimensions), dtype=np.float32)
        return stack_vectors(await self.embed_each(texts), len(texts))

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        """What becomes of texts in the configured space, each by itself; see `Embedder.embed_each`."""
        if self._superseded:
            try:
                embedder = await self._former.get((await self.active_space()).space)
            except EmbeddingError as error:
                return EmbeddedTexts(failure=error)
            return await embedder.embed_each(texts, until)
        expected = self._configured
        embedded = await self.embedder.embed_each(texts, until)
        lengths = {len(vector) for vector in embedded.vectors.values()}
        if expected is not None and (
            lengths - {expected.space.dimensions} or isinstance(embedded.failure, ModelChangedError)
        ):
            await self._forget(expected)
            if not isinstance(embedded.failure, ModelChangedError):
                return EmbeddedTexts(failure=_model_changed(expected))
        return embedded

    async def embed_queries(self, texts: Sequence[str]) -> QueryVectors:
        """Queries in the space that serves, each by itself; in that of the standby where there is no vector in time.

        Raises EmbeddingError where that does not answer either.
        """
        serving = await self._serving_space()
        started = time.perf_counter()
        try:
            embedded = await self._embed_in_time(serving, texts)
            self.queries.add(serving, len(texts), time.perf_counter() - started)
            return embedded
        except EmbeddingError as error:
            if isinstance(error, ModelChangedError) and self._configured == serving:
                await self._forget(serving)
            instead = None if self._standby is None else await self._standby.embed_queries(texts)
            if instead is None:
                raise
            self.queries.add(instead[0], len(texts), time.perf_counter() - started)
            return QueryVectors(*instead, standby_for=error.message)

    async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
        """Queries in one space, however long it takes: float32, shape (n, d). Raises EmbeddingError."""
        if self._standby is not None and self._standby.holds(stored):
            instead = await self._standby.embed_queries(texts)
            if instead is not None:
                return instead[1]
        # One after the other: nobody waits for these, and searches must not wait behind them.
        return np.concatenate([await self._embed_queries(stored, [text]) for text in texts])

    async def embed_each_in(self, stored: StoredSpace, texts: Sequence[str]) -> EmbeddedTexts:
        """What becomes of texts in one space. Raises EmbeddingError where nothing embeds for it any more."""
        if self._configured == stored:
            return await self.embed_each(texts)
        return await (await self._embedder_for(stored)).embed_each(texts)

    async def fill_plan(self) -> FillPlan:
        """The spaces that are to hold every tool, and what is in the way of others."""
        targets: list[FillTarget] = []
        failure: EmbeddingError | None = None
        try:
            await self._look_at_weights()
            # First what serves: another process may have switched, and then its choice holds.
            active = await self.active_space()
            configured = await self.configured_space()
            if active.id != configured.id:
                targets += await self._former_target(active)
            if not await self._is_paused(configured):
                targets.append(FillTarget(configured, self.embed_each, is_configured=True))
        except EmbeddingError as error:
            failure = error
        if self._standby is not None:
            try:
                standby = await self._standby.space()
                if standby.id not in {target.stored.id for target in targets}:
                    targets.append(FillTarget(standby, self._standby.embed_each))
            except EmbeddingError as error:
                failure = failure or error
        return FillPlan(tuple(targets), failure)

    async def finish(self, target: FillTarget) -> bool:
        """A space holds every tool now; returns whether it has begun to serve with that."""
        record = await self._record(target.stored)
        if record is not None and record.filled_at is None:
            await self.store.mark_filled(target.stored.id)
        if not target.is_configured or self._superseded or record is None or record.active:
            return False
        if record.share or record.paused:
            return False
        await self.store.activate(target.stored.id)
        self._configured_was_active = True
        return True

    async def drop_expired(self) -> None:
        """Drop the spaces of former models after their time of grace."""
        kept = [self._configured.id] if self._configured is not None else []
        if self._standby is not None:
            kept.append((await self._standby.space()).id)
        await self.store.drop_expired(self._settings.space_grace_hours, kept)

    async def aclose(self) -> None:
        """Close the embedders."""
        await self._under_way.aclose()
        await self.query_cache.aclose()
        await self.embedder.aclose()
        await self._former.aclose()
        if self._standby is not None:
            await self._standby.aclose()

    async def _read_records(self) -> list[SpaceRecord]:
        return await self._records.get(None, None, self.store.records)

    async def _record(self, stored: StoredSpace) -> SpaceRecord | None:
        return next((record for record in await self.store.records() if record.stored.id == stored.id), None)

    async def _is_paused(self, stored: StoredSpace) -> bool:
        record = await self._record(stored)
        return record is not None and bool(record.paused)

    def _follow(self, active: StoredSpace) -> None:
        """Notice where another process has switched away from the configured space, after it served."""
        if self._configured is None or self._superseded:
            return
        self._superseded = self._configured_was_active and active.id != self._configured.id
        self._configured_was_active = active.id == self._configured.id
        if self._superseded:
            logger.warning(
                "Another process has switched to %s; restart this one for the settings to be the same.",
                active.space.model,
            )

    async def _serving_space(self) -> StoredSpace:
        """The active space, or for its share of the searches the one that is tried beside it."""
        active = await self.active_space()
        for record in await self._read_records():
            # Chance alone decides, so that neither caller nor query is always of one side.
            if record.share and record.filled_at is not None and random.randrange(100) < record.share:  # noqa: S311
                return record.stored
        return active

    async def _embed_in_time(self, stored: StoredSpace, texts: Sequence[str]) -> QueryVectors:
        if self._standby is None:
            return QueryVectors(stored, await self._embed_queries(stored, texts))
        embedding = asyncio.ensure_future(self._embed_queries(stored, texts))
        done, _ = await asyncio.wait([embedding], timeout=self._settings.query_budget_ms / 1000)
        if done:
            return QueryVectors(stored, embedding.result())
        # What is under way goes on: the next one who asks finds it in the cache.
        self._under_way.spawn(_let_end(embedding))
        raise EmbedderUnavailableError(
            f"{stored.space.model} has not answered within {self._settings.query_budget_ms} ms",
            "see what the embedder is doing, or raise embedder.query_budget_ms",
        )

    async def _embed_queries(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
        embedder = await self._embedder_for(stored)
        embedded = [self.query_cache.get_or_embed(stored.id, text, embedder) for text in texts]
        vectors = [await embedded[0]] if len(embedded) == 1 else await asyncio.gather(*embedded)
        if any(vector.shape != (stored.space.dimensions,) for vector in vectors):
            raise _model_changed(stored)
        return np.stack(vectors)

    async def _forget(self, stored: StoredSpace) -> None:
        """The model behind a space has become another: from now on its space is what it says, not what was known."""
        if self._configured == stored:
            self._configured = None
            self._configured_was_active = False
            self.embedder.forget_weights()
        await self.store.mark_gone(stored.id)
        logger.warning("%s has other weights than before; all tools are embedded anew.", stored.space.model)

    async def _look_at_weights(self) -> None:
        """Notice where the model behind the configured space has other weights by now."""
        configured = self._configured
        if configured is None or self._superseded:
            return
        if await self._identity.changed(configured.space):
            await self._forget(configured)
        elif self.embedder.is_remote and self._identity.is_due():
            identified = await self._identity.identify(await self.store.records())
            if identified.space != configured.space:
                await self._forget(configured)

    async def _learn_space(self) -> StoredSpace:
        if self._failure is not None and time.monotonic() - self._failed_at < _FAILURE_SECONDS:
            raise type(self._failure)(self._failure.detail, self._failure.next_step)
        records = await self.store.records()
        try:
            identified = await self._identity.identify(records)
        except EmbeddingError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise
        space = identified.space
        stored = await self.store.register(space, identified.probes)
        if stored.id not in {record.stored.id for record in records}:
            await self._replace_weights(stored, records)
        return stored

    async def _replace_weights(self, stored: StoredSpace, records: Sequence[SpaceRecord]) -> None:
        """A space is new: the others of its model were made by weights that are no longer there."""
        former = [
            record
            for record in records
            if same_but_build(record.stored.space, stored.space) and self.embedder.matches_space(record.stored.space)
        ]
        for record in former:
            if not record.is_gone:
                await self.store.mark_gone(record.stored.id)
        if former and costs_money(self._settings):
            await self.store.pause(stored.id, _WAITS_FOR_A_YES)
            logger.warning("%s: %s.", stored.space.model, _WAITS_FOR_A_YES)

    async def _embedder_for(self, stored: StoredSpace) -> Embedder:
        if self._configured is not None and stored.id == self._configured.id:
            return self.embedder
        failure: EmbeddingError | None = None
        try:
            configured = await self.configured_space()
            if configured.id == stored.id and not self._superseded:
                return self.embedder
        except EmbeddingError as error:
            # The configured embedder is down or damaged; the one of the active space may not be.
            failure = error
        record = next((each for each in await self._read_records() if each.stored.id == stored.id), None)
        if record is not None and record.is_gone:
            raise _model_changed(stored)
        try:
            return await self._former.get(stored.space)
        except EmbeddingError as error:
            raise failure or error from error

    async def _former_target(self, active: StoredSpace) -> list[FillTarget]:
        """The space that serves, where what fills it is still there."""
        try:
            embedder = await self._embedder_for(active)
        except EmbeddingError:
            return []
        return [FillTarget(active, embedder.embed_each)]


async def _let_end(embedding: asyncio.Future[Vectors]) -> None:
    try:
        await embedding
    except EmbeddingError as error:
        logger.info("A query that was answered from the standby was not embedded later either: %s", error)


def _model_changed(stored: StoredSpace) -> ModelChangedError:
    return ModelChangedError(
        f"The model {stored.space.model} has other weights than those that the catalogue was embedded with",
        "the catalogue is about to be embedded anew, try again after that",
    )
