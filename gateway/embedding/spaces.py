"""The embedding spaces of the database: the active one, which searches use, and the one of the configured embedder.

They are the same until the model is changed. Then the configured space is filled beside the active one, and takes its
place when it is full.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.database.connection import Row
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.embedding.cache import QueryCache
from gateway.embedding.embedder import EmbeddedTexts, Embedder, EmbeddingSpace, Vectors, stack_vectors
from gateway.embedding.selection import choose_former_embedder
from gateway.errors import BadVectorError, EmbeddingError, ModelChangedError
from gateway.settings import EmbedderSettings

logger = logging.getLogger(__name__)

# pgvector can build an HNSW index over at most this many dimensions of a halfvec.
_INDEXED_DIMENSIONS = 4000
# An embedder that does not say what its vectors are like is not asked again for so long: whoever asks, waits.
_FAILURE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StoredSpace:
    """A space with the number under which the database keeps its vectors."""

    id: int
    space: EmbeddingSpace


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """Queries in a space: `vectors` is float32, shape (n, space.dimensions), in their order."""

    stored: StoredSpace
    vectors: Vectors


class Spaces:
    """Embeds documents into the space of the configured embedder, and queries into the active one."""

    def __init__(
        self, database: Database, embedder: Embedder, settings: EmbedderSettings, notices: Notices | None
    ) -> None:
        """Without `notices` the active space is read each time."""
        self.embedder = embedder
        self._database = database
        self._settings = settings
        self._cache = QueryCache(database)
        self._configured: StoredSpace | None = None
        self._active: NotifiedCache[None, StoredSpace | None] = NotifiedCache(notices)
        self._former: tuple[str, Embedder | EmbeddingError] | None = None
        self._former_lock = asyncio.Lock()
        self._learning_lock = asyncio.Lock()
        self._failure: EmbeddingError | None = None
        self._failed_at = 0.0
        self._configured_was_active = False
        self._superseded = False
        self._trusts_stored = True
        self._replaced_id: int | None = None

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
                    self._configured = await self._register(await self._learn_space())
        return self._configured

    async def active_space(self) -> StoredSpace:
        """The space that searches use. Raises EmbeddingError while there is none."""
        was_active = self._configured_was_active
        active = await self._active.get(None, None, self._read_active_space)
        if active is None:
            return await self.configured_space()
        if self._configured is not None and not self._superseded:
            # What was read while this process swapped is its own former space, not another's.
            self._superseded = was_active and self._configured_was_active and active.id != self._configured.id
            self._configured_was_active = active.id == self._configured.id
            if self._superseded:
                logger.warning(
                    "Another process has switched to %s; restart this one for the settings to be the same.",
                    active.space.model,
                )
        return active

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors in the configured space: float32, shape (len(texts), d). Raises EmbeddingError."""
        if not texts:
            return np.empty((0, (await self.configured_space()).space.dimensions), dtype=np.float32)
        return stack_vectors(await self.embed_each(texts), len(texts))

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        """What becomes of texts in the configured space, each by itself; see `Embedder.embed_each`."""
        if self._superseded:
            try:
                embedder = await self._former_embedder((await self.active_space()).space)
            except EmbeddingError as error:
                return EmbeddedTexts(failure=error)
            return await embedder.embed_each(texts, until)
        embedded = await self.embedder.embed_each(texts, until)
        if self._configured is not None:
            expected = self._configured.space.dimensions
            for vector in embedded.vectors.values():
                if len(vector) != expected:
                    changed = _model_changed(self._configured, len(vector))
                    self._forget_configured()
                    return EmbeddedTexts(failure=changed)
            if isinstance(embedded.failure, ModelChangedError):
                self._forget_configured()
        return embedded

    async def embed_queries(self, texts: Sequence[str]) -> QueryVectors:
        """Queries in the active space, each by itself. Raises EmbeddingError when its embedder cannot say."""
        stored = await self.active_space()
        embedder = await self._embedder_for(stored)
        embedded = [self._cache.get_or_embed(stored.id, text, embedder) for text in texts]
        vectors = [await embedded[0]] if len(embedded) == 1 else await asyncio.gather(*embedded)
        for vector in vectors:
            if vector.shape != (stored.space.dimensions,):
                self._forget_configured()
                raise _model_changed(stored, vector.shape[0])
        return QueryVectors(stored, np.stack(vectors))

    async def activate_configured_space(self) -> None:
        """Let the configured space serve. The one before stays for searches under way: see `drop_replaced_space`."""
        configured, former = await self.configured_space(), await self.active_space()
        async with self._database.transaction() as transaction:
            await transaction.execute("deactivate_spaces", configured.id)
            await transaction.execute("activate_space", configured.id)
            await transaction.execute("notify_space", configured.id)
        self._configured_was_active = True
        self._replaced_id = former.id if former.id != configured.id else None

    async def drop_replaced_space(self) -> None:
        """Drop the space that served before the last `activate_configured_space`, with its vectors."""
        replaced_id, self._replaced_id = self._replaced_id, None
        if replaced_id is not None:
            await self._database.execute("drop_space_index", space=replaced_id)
            await self._database.execute("delete_space", replaced_id)

    async def aclose(self) -> None:
        """Close the embedders."""
        await self.embedder.aclose()
        await self._forget_former()

    def _forget_configured(self) -> None:
        """The model is another one under the name it had: from now on its space is what it says, not what was known."""
        self._configured = None
        self._configured_was_active = False
        self._trusts_stored = False

    async def _read_active_space(self) -> StoredSpace | None:
        row = await self._database.fetchrow("active_space")
        return None if row is None else StoredSpace(row["id"], _parse_space(row))

    async def _learn_space(self) -> EmbeddingSpace:
        row = await self._database.fetchrow("active_space") if self._trusts_stored else None
        if row is not None and self.embedder.matches_space(known := _parse_space(row)) and known.key == row["key"]:
            # The model would say the same again, at the price of an embedding.
            return known
        if self._failure is not None and time.monotonic() - self._failed_at < _FAILURE_SECONDS:
            raise type(self._failure)(self._failure.detail, self._failure.next_step)
        try:
            return await self.embedder.space()
        except EmbeddingError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise

    async def _register(self, space: EmbeddingSpace) -> StoredSpace:
        if space.dimensions > _INDEXED_DIMENSIONS:
            raise BadVectorError(
                f"The model {space.model} has {space.dimensions} dimensions",
                f"choose one with at most {_INDEXED_DIMENSIONS}, the most that can be indexed",
            )
        async with self._database.transaction() as transaction:
            await transaction.execute("lock_spaces")
            space_id: int = await transaction.fetchval(
                "register_space",
                space.key,
                space.provider,
                space.model,
                space.dimensions,
                space.document_prefix,
                space.query_prefix,
            )
            await transaction.execute("create_space_index", space=space_id, dimensions=space.dimensions)
            await transaction.execute("activate_first_space", space_id)
        return StoredSpace(space_id, space)

    async def _embedder_for(self, stored: StoredSpace) -> Embedder:
        if self._configured is not None and stored.id == self._configured.id:
            return self.embedder
        failure: EmbeddingError | None = None
        try:
            configured = await self.configured_space()
            if configured.id == stored.id:
                return self.embedder
            if self.embedder.is_remote and self.embedder.matches_space(stored.space):
                # The server has another model under that name, and none could compare its vectors with these.
                raise _model_changed(stored, configured.space.dimensions)
        except ModelChangedError:
            raise
        except EmbeddingError as error:
            # The configured embedder is down or damaged; the one of the active space may not be.
            failure = error
        try:
            return await self._former_embedder(stored.space)
        except EmbeddingError as error:
            raise failure or error from error

    async def _former_embedder(self, space: EmbeddingSpace) -> Embedder:
        """The embedder of a space that is active although the settings have moved on. Raises EmbeddingError if gone."""
        async with self._former_lock:
            if self._former is None or self._former[0] != space.key:
                await self._forget_former()
                try:
                    self._former = (space.key, await choose_former_embedder(space, self._settings))
                except EmbeddingError as error:
                    self._former = (space.key, error)
            former = self._former[1]
        if isinstance(former, EmbeddingError):
            raise EmbeddingError(former.detail, former.next_step)
        return former

    async def _forget_former(self) -> None:
        former, self._former = self._former, None
        if former is not None and not isinstance(former[1], EmbeddingError):
            await former[1].aclose()


def _model_changed(stored: StoredSpace, dimensions: int) -> ModelChangedError:
    return ModelChangedError(
        f"The model {stored.space.model} now gives {dimensions} dimensions where the catalogue has "
        f"{stored.space.dimensions}",
        "the catalogue is about to be embedded anew, try again after that",
    )


def _parse_space(row: Row) -> EmbeddingSpace:
    return EmbeddingSpace(row["provider"], row["model"], row["dimensions"], row["document_prefix"], row["query_prefix"])
