"""An embedder for queries in some languages, with a space of its own that holds every tool."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

from gateway.embedding.embedder import EmbeddedTexts, Embedder
from gateway.embedding.spaces.build_identity import BuildIdentity
from gateway.embedding.spaces.space_store import SpaceRecord, SpaceStore, StoredSpace, same_but_build
from gateway.errors import EmbeddingError, ModelChangedError

logger = logging.getLogger(__name__)

# An embedder that does not say what its vectors are like is not asked again for so long.
_FAILURE_SECONDS = 3.0


class LanguageRoute:
    """Fills its space as long as it is used, and anew when its model gets other weights."""

    def __init__(self, languages: Sequence[str], embedder: Embedder, store: SpaceStore) -> None:
        self.languages = tuple(languages)
        self.embedder = embedder
        self._store = store
        self._identity = BuildIdentity(embedder)
        self._stored: StoredSpace | None = None
        self._failure: EmbeddingError | None = None
        self._failed_at = 0.0

    @property
    def stored(self) -> StoredSpace | None:
        """Its space, None as long as the embedder has not said what its vectors are like."""
        return self._stored

    async def space(self) -> StoredSpace:
        """Its space, registered. Raises EmbeddingError."""
        if self._stored is None:
            if self._failure is not None and time.monotonic() - self._failed_at < _FAILURE_SECONDS:
                raise type(self._failure)(self._failure.detail, self._failure.next_step)
            try:
                self._stored = await self._learn_space()
            except EmbeddingError as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
        return self._stored

    async def check_weights(self) -> None:
        """Notice where the model has other weights by now, or the space was dropped. Raises EmbeddingError."""
        stored = self._stored
        if stored is None:
            return
        if not await self._store.exists(stored):
            self._stored = None
            return
        changed = await self._identity.changed(stored.space)
        if not changed and self.embedder.is_remote and self._identity.is_due():
            changed = (await self._identity.identify(await self._store.records())).space != stored.space
        if changed:
            await self.forget(stored)

    async def forget(self, stored: StoredSpace) -> None:
        """The model behind `stored` has become another: its space is filled anew."""
        if self._stored == stored:
            self._stored = None
            self.embedder.forget_weights()
        await self._store.mark_gone(stored.id)
        logger.warning("%s has other weights than before; all tools are embedded anew.", stored.space.model)

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        """See `Embedder.embed_each`."""
        stored = self._stored
        embedded = await self.embedder.embed_each(texts, until)
        lengths = {len(vector) for vector in embedded.vectors.values()}
        if stored is None or not lengths - {stored.space.dimensions}:
            return embedded
        await self.forget(stored)
        return EmbeddedTexts(
            failure=ModelChangedError(f"The model {stored.space.model} has other weights than before", "try again")
        )

    async def _learn_space(self) -> StoredSpace:
        records = await self._store.records()
        identified = await self._identity.identify(records)
        stored = await self._store.register(identified.space, identified.probes, may_serve=False)
        if stored.id not in {record.stored.id for record in records}:
            for record in self._former(records, stored):
                await self._store.mark_gone(record.stored.id)
        await self._store.set_languages(stored.id, self.languages)
        return stored

    def _former(self, records: Sequence[SpaceRecord], stored: StoredSpace) -> list[SpaceRecord]:
        """Spaces that other weights of the model made, which are no longer there."""
        return [
            record
            for record in records
            if not record.is_gone
            and same_but_build(record.stored.space, stored.space)
            and self.embedder.matches_space(record.stored.space)
        ]
