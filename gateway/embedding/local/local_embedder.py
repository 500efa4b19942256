"""Embedders in this process: a model that is loaded on first use, and runs off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from gateway.embedding.embedder import EmbedderHealth, EmbeddingSpace, Vectors, prepare_text
from gateway.errors import EmbedderUnavailableError, EmbeddingError

# Texts that are handed to the thread at a time: so long it works on after a close.
_TEXTS_AT_ONCE = 16
# A model that did not load is not tried again for so long: each try reads its files.
_FAILURE_SECONDS = 3.0


class LocalModel(Protocol):
    """A loaded model. `embed` may be called from two threads at once."""

    @property
    def space(self) -> EmbeddingSpace:
        """What its vectors are."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of non-empty texts: float32, shape (len(texts), d), rows of length 1. Raises EmbeddingError."""
        ...


class LocalEmbedder:
    """Embeds with a model of this process.

    Documents and queries have a thread each, so that a search never waits for a sync, and the event loop for neither.
    A text's vector is the same whatever it is embedded with, and in whichever thread.
    """

    is_remote = False
    max_input_chars = 8_000

    def __init__(self, load: Callable[[], LocalModel], provider: str, model: str) -> None:
        """`load` is called once, in a thread, and raises EmbeddingError; it may give a model of a more exact name."""
        self._load = load
        self._provider = provider
        self._model_name = model
        self._model: LocalModel | None = None
        self._loading = asyncio.Lock()
        self._failure: EmbeddingError | None = None
        self._failed_at = 0.0
        self._closed = False
        self._for_documents = ThreadPoolExecutor(1, "embed-documents")
        self._for_queries = ThreadPoolExecutor(1, "embed-queries")

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        model = await self._loaded()
        parts = [np.empty((0, model.space.dimensions), dtype=np.float32)]
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            chunk = texts[start : start + _TEXTS_AT_ONCE]
            parts.append(await self._embed(model, self._for_documents, model.space.document_prefix, chunk))
        return np.concatenate(parts)

    async def embed_query(self, text: str) -> Vectors:
        model = await self._loaded()
        vector: Vectors = (await self._embed(model, self._for_queries, model.space.query_prefix, [text]))[0]
        return vector

    async def space(self) -> EmbeddingSpace:
        return (await self._loaded()).space

    def matches_space(self, space: EmbeddingSpace) -> bool:
        if self._model is not None:
            return space == self._model.space
        return (space.provider, space.model) == (self._provider, self._model_name)

    async def check_health(self) -> EmbedderHealth:
        try:
            await self._loaded()
            started = time.perf_counter()
            await self.embed_query("is the embedder well")
        except EmbeddingError as error:
            return EmbedderHealth.from_error(error, self._model_name)
        latency_ms = (time.perf_counter() - started) * 1000
        detail = f"The {self._provider} embedder is loaded and answers."
        return EmbedderHealth(True, detail, self._model_name, latency_ms)

    async def aclose(self) -> None:
        """Gives the model back; what a thread has begun, it ends."""
        self._closed = True
        self._model = None
        self._for_documents.shutdown(wait=False)
        self._for_queries.shutdown(wait=False)

    async def _embed(
        self, model: LocalModel, executor: ThreadPoolExecutor, prefix: str, texts: Sequence[str]
    ) -> Vectors:
        self._require_open()
        prepared = [prefix + prepare_text(text, self.max_input_chars) for text in texts]
        return await asyncio.get_running_loop().run_in_executor(executor, model.embed, prepared)

    async def _loaded(self) -> LocalModel:
        if self._model is None:
            async with self._loading:
                if self._model is None:
                    self._model = await self._load_once()
        return self._model

    async def _load_once(self) -> LocalModel:
        self._require_open()
        if self._failure is not None and time.monotonic() - self._failed_at < _FAILURE_SECONDS:
            raise EmbeddingError(self._failure.detail, self._failure.next_step)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._for_documents, self._load)
        except EmbeddingError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise

    def _require_open(self) -> None:
        if self._closed:
            raise EmbedderUnavailableError(f"The {self._provider} embedder is closed", "try again in a moment")
