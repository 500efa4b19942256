"""What the embedders behind an HTTP server share: prefixes, batches, the dimension learned, the checks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import anyio
import numpy as np

from gateway.embedding.embedder import EmbedderHealth, EmbeddingSpace, Vectors
from gateway.embedding.http_client import EmbeddingHttpClient, Purpose
from gateway.embedding.model_traits import traits_of
from gateway.embedding.texts import readable
from gateway.embedding.vector_check import usable
from gateway.errors import EmbeddingError

_PROBE = "How many dimensions has a vector of this model?"
_BATCHES_AT_ONCE = 4


class RemoteEmbedder(ABC):
    """An embedder whose model runs in a server of its own."""

    provider: ClassVar[str]
    remote = True

    def __init__(self, endpoint: EmbeddingHttpClient, model: str, batch_size: int) -> None:
        self._endpoint = endpoint
        self._model = model
        self._traits = traits_of(model)
        self._batch_size = batch_size
        self._dimensions: int | None = None

    @property
    def max_input_chars(self) -> int:
        return self._traits.max_input_chars

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        prefixed = [self._traits.document_prefix + readable(text, self.max_input_chars) for text in texts]
        batches = [prefixed[start : start + self._batch_size] for start in range(0, len(prefixed), self._batch_size)]
        parts: dict[int, Vectors] = {}
        failures: list[EmbeddingError] = []
        pending = iter(enumerate(batches))

        async def work() -> None:
            try:
                for number, batch in pending:
                    parts[number] = await self._vectors(batch, "documents")
            except EmbeddingError as error:
                failures.append(error)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for _ in range(min(_BATCHES_AT_ONCE, len(batches))):
                tasks.start_soon(work)
        if failures:
            raise failures[0]
        if not parts:
            return np.empty((0, (await self.space()).dimensions), dtype=np.float32)
        return np.concatenate([parts[number] for number in range(len(batches))])

    async def embed_query(self, text: str) -> Vectors:
        prefixed = self._traits.query_prefix + readable(text, self.max_input_chars)
        vector: Vectors = (await self._vectors([prefixed], "query"))[0]
        return vector

    async def space(self) -> EmbeddingSpace:
        dimensions = self._dimensions
        if dimensions is None:
            dimensions = (await self._vectors([_PROBE], "query")).shape[1]
        return EmbeddingSpace(
            provider=self.provider,
            model=self._model,
            dimensions=dimensions,
            document_prefix=self._traits.document_prefix,
            query_prefix=self._traits.query_prefix,
        )

    def fills(self, space: EmbeddingSpace) -> bool:
        traits = self._traits
        return (space.provider, space.model, space.document_prefix, space.query_prefix) == (
            self.provider,
            self._model,
            traits.document_prefix,
            traits.query_prefix,
        )

    async def health(self) -> EmbedderHealth:
        started = time.perf_counter()
        try:
            detail = await self._check()
        except EmbeddingError as error:
            return EmbedderHealth.failed(error, self._model)
        return EmbedderHealth(True, detail, self._model, (time.perf_counter() - started) * 1000)

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    @abstractmethod
    async def _rows(self, texts: list[str], purpose: Purpose) -> Any:
        """One list of numbers for each text, in their order, as the server gave them and unchecked."""

    @abstractmethod
    async def _check(self) -> str:
        """A sentence that says that all is well; raises EmbeddingError when it is not."""

    async def _vectors(self, texts: list[str], purpose: Purpose) -> Vectors:
        rows = await self._rows(texts, purpose)
        vectors = usable(
            rows, count=len(texts), dimensions=self._dimensions, embedder=self._endpoint.label, model=self._model
        )
        self._dimensions = vectors.shape[1]
        return vectors
