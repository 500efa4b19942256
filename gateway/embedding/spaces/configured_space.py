"""The space of the embedder that the settings mean, as its model is at the moment."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.embedding.embedder import EmbeddedTexts, Embedder
from gateway.embedding.embedder_factory import costs_money
from gateway.embedding.spaces.build_identity import BuildIdentity
from gateway.embedding.spaces.space_store import SpaceRecord, SpaceStore, StoredSpace, same_but_build
from gateway.errors import EmbeddingError, ModelChangedError
from gateway.settings import EmbedderSettings

if TYPE_CHECKING:
    from gateway.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

# An embedder that does not say what its vectors are like is not asked again for so long: whoever asks, waits.
_FAILURE_SECONDS = 3.0
_WAITS_FOR_A_YES = "the model has other weights, and embedding all tools anew costs money: resume it to go on"


class ConfiguredSpace:
    """Learnt when it is first asked for, and anew when the model turns out to have other weights."""

    def __init__(
        self, embedder: Embedder, store: SpaceStore, settings: EmbedderSettings, metrics: Metrics | None = None
    ) -> None:
        self.embedder = embedder
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._identity = BuildIdentity(embedder)
        self._stored: StoredSpace | None = None
        self._learning_lock = asyncio.Lock()
        self._failure: EmbeddingError | None = None
        self._failed_at = 0.0
        self._was_active = False
        self.is_superseded = False
        """Another process, with later settings, has let another space take over from it."""

    @property
    def stored(self) -> StoredSpace | None:
        """The space, None as long as the embedder has not said what its vectors are like."""
        return self._stored

    async def get(self) -> StoredSpace:
        """The space, registered, indexed, and active if none was. Raises EmbeddingError."""
        if self._stored is None:
            async with self._learning_lock:
                if self._stored is None:
                    self._stored = await self._learn()
        return self._stored

    def follow(self, active: StoredSpace) -> None:
        """Notice where another process has switched away from this space, after it served."""
        if self._stored is None or self.is_superseded:
            return
        self.is_superseded = self._was_active and active.id != self._stored.id
        self._was_active = active.id == self._stored.id
        if self.is_superseded:
            logger.warning(
                "Another process has switched to %s; restart this one for the settings to be the same.",
                active.space.model,
            )

    def note_active(self) -> None:
        """This process has let it serve."""
        self._was_active = True

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        """See `Embedder.embed_each`; vectors of another length than those that are stored are none."""
        expected = self._stored
        started = time.perf_counter()
        embedded = await self.embedder.embed_each(texts, until)
        outcome = "ok" if embedded.failure is None else "failed"
        if self._metrics is not None:
            self._metrics.observe_embedding("documents", outcome, time.perf_counter() - started)
        lengths = {len(vector) for vector in embedded.vectors.values()}
        if expected is not None and (
            lengths - {expected.space.dimensions} or isinstance(embedded.failure, ModelChangedError)
        ):
            await self.forget(expected)
            if not isinstance(embedded.failure, ModelChangedError):
                return EmbeddedTexts(failure=model_changed(expected))
        return embedded

    async def forget(self, stored: StoredSpace) -> None:
        """The model behind `stored` has become another: from now on its space is what it says, not what was known."""
        if self._stored == stored:
            self._stored = None
            self._was_active = False
            self.embedder.forget_weights()
        await self._store.mark_gone(stored.id)
        logger.warning("%s has other weights than before; all tools are embedded anew.", stored.space.model)

    async def check_weights(self) -> None:
        """Notice where the model has other weights by now, or the space was dropped. Raises EmbeddingError."""
        stored = self._stored
        if stored is None or self.is_superseded:
            return
        if not await self._store.exists(stored):
            self._stored, self._was_active = None, False
            return
        if await self._identity.changed(stored.space):
            await self.forget(stored)
        elif self.embedder.is_remote and self._identity.is_due():
            identified = await self._identity.identify(await self._store.records())
            if identified.space != stored.space:
                await self.forget(stored)

    async def _learn(self) -> StoredSpace:
        if self._failure is not None and time.monotonic() - self._failed_at < _FAILURE_SECONDS:
            raise type(self._failure)(self._failure.detail, self._failure.next_step)
        records = await self._store.records()
        try:
            identified = await self._identity.identify(records)
        except EmbeddingError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise
        stored = await self._store.register(identified.space, identified.probes)
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
                await self._store.mark_gone(record.stored.id)
        if former and costs_money(self._settings):
            await self._store.pause(stored.id, _WAITS_FOR_A_YES)
            logger.warning("%s: %s.", stored.space.model, _WAITS_FOR_A_YES)


def model_changed(stored: StoredSpace) -> ModelChangedError:
    """What to say of a space whose model has other weights by now."""
    return ModelChangedError(
        f"The model {stored.space.model} has other weights than those that the catalogue was embedded with",
        "the catalogue is about to be embedded anew, try again after that",
    )
