"""Embedders in this process: a model that is loaded on first use, and runs off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from typing_extensions import ParamSpec

from gateway.embedding.embedder import (
    EmbeddedTexts,
    EmbedderHealth,
    EmbeddingSpace,
    Vectors,
    prepare_text,
)
from gateway.embedding.embedding_log import log_embeddings
from gateway.errors import EmbedderUnavailableError, EmbeddingError

P = ParamSpec("P")
T = TypeVar("T")

# Texts that are handed to the thread at a time: so long it works on after a close.
_TEXTS_AT_ONCE = 16
# So many characters of a text are tokenized: no model reads more.
_MAX_CHARACTERS = 8_000
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

    def embed_query(self, text: str) -> Vectors:
        """The vector by which documents are found for a non-empty text: float32, shape (d,).

        Its product with a document's vector is their similarity. Raises EmbeddingError.
        """
        ...

    def reads_whole(self, text: str) -> bool:
        """Whether nothing of `text` is cut off."""
        ...


class LocalEmbedder:
    """Embeds with a model of this process.

    Documents and queries have a thread each, so that a search never waits for a sync, and the event loop for neither.
    A text's vector is the same whatever it is embedded with, and in whichever thread.
    """

    is_remote = False
    waiting_texts = 0
    is_left_alone = False

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

    @property
    def name(self) -> str:
        """See `Embedder.name`."""
        return f"{self._provider}/{self._model_name}"

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        vectors: dict[int, Vectors] = {}
        refused: dict[int, str] = {}
        cut: set[int] = set()
        try:
            model = await self._loaded()
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                if time.monotonic() >= until:
                    break
                chunk = texts[start : start + _TEXTS_AT_ONCE]
                started = time.perf_counter()
                done = await self._run(self._for_documents, _embed_each, model, self._prepare(model, chunk))
                seconds = (time.perf_counter() - started) / len(chunk)
                for place, outcome in enumerate(done, start):
                    if isinstance(outcome, EmbeddingError):
                        refused[place] = outcome.detail
                    else:
                        vectors[place], is_whole = outcome
                        log_embeddings(self.name, [texts[place]], seconds, cache_hit=False)
                        if not is_whole or len(texts[place]) > _MAX_CHARACTERS:
                            cut.add(place)
        except EmbeddingError as error:
            return EmbeddedTexts(vectors, refused, frozenset(cut), error)
        return EmbeddedTexts(vectors, refused, frozenset(cut))

    async def embed_query(self, text: str) -> Vectors:
        model = await self._loaded()
        prepared = model.space.query_prefix + prepare_text(text[:_MAX_CHARACTERS])
        started = time.perf_counter()
        vector = await self._run(self._for_queries, model.embed_query, prepared)
        log_embeddings(self.name, [text], time.perf_counter() - started, cache_hit=False)
        return vector

    async def space(self) -> EmbeddingSpace:
        return (await self._loaded()).space

    async def build(self) -> str:
        return (await self._loaded()).space.build

    def matches_space(self, space: EmbeddingSpace) -> bool:
        if self._model is not None:
            return replace(space, build="") == replace(self._model.space, build="")
        return (space.provider, space.model) == (self._provider, self._model_name)

    def forget_weights(self) -> None:
        """A loaded model stays as it is."""

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

    def _prepare(self, model: LocalModel, texts: Sequence[str]) -> list[str]:
        return [model.space.document_prefix + prepare_text(text[:_MAX_CHARACTERS]) for text in texts]

    async def _run(self, executor: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._require_open()
        return await asyncio.get_running_loop().run_in_executor(executor, partial(work, *args, **kwargs))

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
            return await asyncio.get_running_loop().run_in_executor(self._for_documents, self._load_and_trim)
        except EmbeddingError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise

    def _load_and_trim(self) -> LocalModel:
        """The model; what was needed to load it goes back to the system, which is a tenth of what it takes."""
        model = self._load()
        # A function of glibc; other libraries return memory by themselves.
        with contextlib.suppress(AttributeError, OSError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)
        return model

    def _require_open(self) -> None:
        if self._closed:
            raise EmbedderUnavailableError(f"The {self._provider} embedder is closed", "try again in a moment")


def _embed_each(model: LocalModel, texts: Sequence[str]) -> list[tuple[Vectors, bool] | EmbeddingError]:
    """For each text its vector and whether the model read all of it, or why it has none."""
    done: list[tuple[Vectors, bool] | EmbeddingError] = []
    for text in texts:
        try:
            done.append((model.embed([text])[0], model.reads_whole(text)))
        except EmbeddingError as error:
            done.append(error)
    return done
