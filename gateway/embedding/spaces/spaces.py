"""The embedding spaces at work: one serves searches, one is that of the configured embedder, one stands by, and some
are for queries in their languages.

The first two are the same until the model is changed, or another one is found behind its name. Then the configured
space is filled beside the active one, and takes its place when it is full.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.embedding.cache import QueryCache
from gateway.embedding.embedder import EmbeddedTexts, Embedder, Vectors
from gateway.embedding.spaces.configured_space import ConfiguredSpace, model_changed
from gateway.embedding.spaces.fill_plan import FillPlan, FillTarget
from gateway.embedding.spaces.former_embedder import FormerEmbedder
from gateway.embedding.spaces.language_routes import LanguageRoutes
from gateway.embedding.spaces.query_embedding import QueryEmbedding, QueryVectors
from gateway.embedding.spaces.space_store import SpaceRecord, SpaceStore, StoredSpace
from gateway.embedding.spaces.standby import Standby
from gateway.errors import EmbeddingError, ModelChangedError
from gateway.settings import EmbedderSettings
from gateway.telemetry.tracing import span

if TYPE_CHECKING:
    from gateway.telemetry.metrics import Metrics

BeforeSwitch = Callable[[StoredSpace], Awaitable[None]]


class Spaces:
    """Embeds documents into the space of the configured embedder, and queries into the one that serves."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        settings: EmbedderSettings,
        notices: Notices | None,
        standby: Embedder | None = None,
        routes: LanguageRoutes | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Without `notices` the spaces are read each time; without `standby` searches go by words instead."""
        self.embedder = embedder
        self.store = SpaceStore(database)
        self._settings = settings
        self._configured = ConfiguredSpace(embedder, self.store, settings, metrics)
        self._standby = Standby(standby, self.store) if standby is not None else None
        self._routes = routes or LanguageRoutes((), self.store)
        self._former = FormerEmbedder(settings)
        self._records: NotifiedCache[None, list[SpaceRecord]] = NotifiedCache(notices)
        self.query_cache = QueryCache(database, settings.cache_ttl_seconds, notices, is_kept=settings.cache)
        self._queries = QueryEmbedding(self.query_cache, self._embedder_for, settings.query_budget_ms, metrics)
        self.queries = self._queries.counts
        self.lacking: dict[str, float] = {}
        """Of how many tools vectors are `missing` or `refused`, as of the last look."""
        self._before_switch: list[BeforeSwitch] = []

    def before_switch(self, callback: BeforeSwitch) -> None:
        """Await `callback(space)` before a space that has become full begins to serve."""
        self._before_switch.append(callback)

    @property
    def has_language_routes(self) -> bool:
        """Whether queries in some languages are embedded by a model of their own."""
        return bool(self._routes.routes)

    async def configured_space(self) -> StoredSpace:
        """The space of the configured embedder, registered, indexed, and active if none was.

        Where another process, with other settings, let another space take over from it, that one: the later settings
        hold. Raises EmbeddingError as long as the embedder has not said what its vectors are like.
        """
        return await (self.active_space() if self._configured.is_superseded else self._configured.get())

    async def active_space(self) -> StoredSpace:
        """The space that searches use. Raises EmbeddingError while there is none."""
        active = await self.known_active_space()
        if active is None:
            return await self.configured_space()
        self._configured.follow(active)
        return active

    async def known_active_space(self) -> StoredSpace | None:
        """The space that searches use; None while there is none. No embedder is asked."""
        return next((record.stored for record in await self._read_records() if record.active), None)

    async def upcoming_space(self) -> StoredSpace | None:
        """The space that holds every tool and is about to answer searches, all or a share; None where there is none."""
        configured = None if self._configured.is_superseded else self._configured.stored
        for record in await self._read_records():
            if record.active or record.is_gone or record.paused or record.filled_at is None:
                continue
            if record.share or record.stored == configured:
                return record.stored
        return None

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        """What becomes of texts in the configured space, each by itself; see `Embedder.embed_each`."""
        if not self._configured.is_superseded:
            return await self._configured.embed_each(texts, until)
        try:
            embedder = await self._former.get((await self.active_space()).space)
        except EmbeddingError as error:
            return EmbeddedTexts(failure=error)
        return await embedder.embed_each(texts, until)

    async def embed_queries(self, texts: Sequence[str]) -> QueryVectors:
        """A query and its clauses in the space that serves its language; where there is no vector in time, in the one
        that serves all others, and then in that of the standby.

        Raises EmbeddingError where that does not answer either.
        """
        with span("embed queries", attributes={"modelgate.queries": len(texts)}):
            return await self._embed_for_search(texts)

    async def _embed_for_search(self, texts: Sequence[str]) -> QueryVectors:
        started = time.perf_counter()
        routed = await self._routed_space(texts[0])
        reason = ""
        if routed is not None:
            try:
                return await self._queries.embed_for_search(routed, texts, is_replaceable=True)
            except EmbeddingError as error:
                await self._notice_change(routed, error)
                reason = error.message
        serving = await self._serving_space()
        try:
            embedded = await self._queries.embed_for_search(serving, texts, is_replaceable=self._standby is not None)
            return replace(embedded, standby_for=reason)
        except EmbeddingError as error:
            await self._notice_change(serving, error)
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
        return np.concatenate([await self._queries.embed(stored, [text]) for text in texts])

    async def embed_each_in(self, stored: StoredSpace, texts: Sequence[str]) -> EmbeddedTexts:
        """What becomes of texts in one space. Raises EmbeddingError where nothing embeds for it any more."""
        if self._configured.stored == stored:
            return await self.embed_each(texts)
        return await (await self._embedder_for(stored)).embed_each(texts)

    async def fill_plan(self) -> FillPlan:
        """The spaces that are to hold every tool, and what is in the way of others."""
        targets: list[FillTarget] = []
        failure: EmbeddingError | None = None
        try:
            await self._configured.check_weights()
            # First what serves: another process may have switched, and then its choice holds.
            active = await self.active_space()
            configured = await self.configured_space()
            if active.id != configured.id:
                targets += await self._former_target(active)
            if not await self._is_paused(configured):
                targets.append(FillTarget(configured, self.embed_each, is_configured=True, proposes_categories=True))
        except EmbeddingError as error:
            failure = error
        for route in self._routes.routes:
            try:
                await route.check_weights()
                routed = await route.space()
                if not await self._is_paused(routed):
                    targets.append(FillTarget(routed, route.embed_each))
            except EmbeddingError as error:
                failure = failure or error
        await self._routes.forget_others()
        if self._standby is None:
            await self.store.set_standby(None)
        else:
            try:
                standby = await self._standby.space()
                await self.store.set_standby(standby.id)
                targets.append(FillTarget(standby, self._standby.embed_each, is_standby=True))
            except EmbeddingError as error:
                failure = failure or error
        for target in targets:
            if target.is_configured:
                # It may have served before, and have stood by until now.
                await self.store.reinstate(target.stored.id)
        # A space that is wanted for several reasons is filled for the first of them.
        by_id = {target.stored.id: target for target in reversed(targets)}
        return FillPlan(tuple(target for target in targets if by_id[target.stored.id] is target), failure)

    async def finish(self, target: FillTarget) -> bool:
        """A space holds every tool now; returns whether it has begun to serve with that."""
        record = await self._record(target.stored)
        if record is not None and record.filled_at is None:
            await self.store.mark_filled(target.stored.id)
        if not target.is_configured or self._configured.is_superseded or record is None or record.active:
            return False
        if record.share or record.paused:
            return False
        for prepare in self._before_switch:
            await prepare(target.stored)
        await self.store.activate(target.stored.id)
        self._configured.note_active()
        return True

    async def drop_expired(self) -> None:
        """Drop the spaces of former models after their time of grace."""
        kept = [*self._routes.space_ids]
        if self._configured.stored is not None:
            kept.append(self._configured.stored.id)
        if self._standby is not None:
            kept.append((await self._standby.space()).id)
        await self.store.drop_expired(self._settings.space_grace_hours, kept)

    async def aclose(self) -> None:
        """Close the embedders."""
        await self._queries.aclose()
        await self.query_cache.aclose()
        await self.embedder.aclose()
        await self._former.aclose()
        await self._routes.aclose()
        if self._standby is not None:
            await self._standby.aclose()

    async def _read_records(self) -> list[SpaceRecord]:
        return await self._records.get(None, None, self.store.records)

    async def _record(self, stored: StoredSpace) -> SpaceRecord | None:
        return next((record for record in await self.store.records() if record.stored.id == stored.id), None)

    async def _is_paused(self, stored: StoredSpace) -> bool:
        record = await self._record(stored)
        return record is not None and bool(record.paused)

    async def _serving_space(self) -> StoredSpace:
        """The active space, or for its share of the searches the one that is tried beside it."""
        active = await self.active_space()
        for record in await self._read_records():
            # Chance alone decides, so that neither caller nor query is always of one side.
            if record.share and record.filled_at is not None and random.randrange(100) < record.share:  # noqa: S311
                return record.stored
        return active

    async def _routed_space(self, query: str) -> StoredSpace | None:
        """The space for the language of a query, None where there is none that holds every tool."""
        route = await self._routes.choose(query)
        if route is None or route.stored is None:
            return None
        for record in await self._read_records():
            if record.stored.id == route.stored.id and record.filled_at is not None and not record.is_gone:
                return record.stored
        return None

    async def _notice_change(self, stored: StoredSpace, error: EmbeddingError) -> None:
        if not isinstance(error, ModelChangedError):
            return
        if (route := self._routes.of_space(stored)) is not None:
            await route.forget(stored)
        if self._configured.stored == stored:
            await self._configured.forget(stored)

    async def _embedder_for(self, stored: StoredSpace) -> Embedder:
        known = self._configured.stored
        if known is not None and stored.id == known.id:
            return self.embedder
        if (routed := self._routes.embedder_of(stored)) is not None:
            return routed
        failure: EmbeddingError | None = None
        try:
            configured = await self.configured_space()
            if configured.id == stored.id and not self._configured.is_superseded:
                return self.embedder
        except EmbeddingError as error:
            # The configured embedder is down or damaged; the one of the active space may not be.
            failure = error
        record = next((each for each in await self._read_records() if each.stored.id == stored.id), None)
        if record is not None and record.is_gone:
            raise model_changed(stored)
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
        return [FillTarget(active, embedder.embed_each, proposes_categories=True)]
