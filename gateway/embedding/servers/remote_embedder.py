"""What the embedders behind an HTTP server share: prefixes, batches, the dimension learned, the checks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import anyio
import numpy as np

from gateway.embedding.embedder import EmbedderHealth, EmbeddingSpace, Vectors, prepare_text
from gateway.embedding.model_input_format import input_format_for
from gateway.embedding.servers.http_client import EmbeddingHttpClient, Purpose
from gateway.embedding.vector_check import validate_vectors
from gateway.errors import EmbeddingError

_PROBE_TEXT = "How many dimensions has a vector of this model?"
_MAX_CONCURRENT_BATCHES = 4


class RemoteEmbedder(ABC):
    """An embedder whose model runs in a server of its own."""

    provider: ClassVar[str]
    is_remote = True

    def __init__(self, client: EmbeddingHttpClient, model: str, batch_size: int) -> None:
        self._client = client
        self._model = model
        self._input_format = input_format_for(model)
        self._batch_size = batch_size
        self._dimensions: int | None = None

    @property
    def max_input_chars(self) -> int:
        return self._input_format.max_input_chars

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        prefixed = [self._input_format.document_prefix + prepare_text(text, self.max_input_chars) for text in texts]
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
            for _ in range(min(_MAX_CONCURRENT_BATCHES, len(batches))):
                tasks.start_soon(work)
        if failures:
            raise failures[0]
        if not parts:
            return np.empty((0, (await self.space()).dimensions), dtype=np.float32)
        return np.concatenate([parts[number] for number in range(len(batches))])

    async def embed_query(self, text: str) -> Vectors:
        prefixed = self._input_format.query_prefix + prepare_text(text, self.max_input_chars)
        vector: Vectors = (await self._vectors([prefixed], "query"))[0]
        return vector

    async def space(self) -> EmbeddingSpace:
        dimensions = self._dimensions
        if dimensions is None:
            dimensions = (await self._vectors([_PROBE_TEXT], "query")).shape[1]
        return EmbeddingSpace(
            provider=self.provider,
            model=self._model,
            dimensions=dimensions,
            document_prefix=self._input_format.document_prefix,
            query_prefix=self._input_format.query_prefix,
        )

    def matches_space(self, space: EmbeddingSpace) -> bool:
        form = self._input_format
        return (space.provider, space.model, space.document_prefix, space.query_prefix) == (
            self.provider,
            self._model,
            form.document_prefix,
            form.query_prefix,
        )

    async def check_health(self) -> EmbedderHealth:
        started = time.perf_counter()
        try:
            detail = await self._probe()
        except EmbeddingError as error:
            return EmbedderHealth.from_error(error, self._model)
        return EmbedderHealth(True, detail, self._model, (time.perf_counter() - started) * 1000)

    async def aclose(self) -> None:
        await self._client.aclose()

    @abstractmethod
    async def _request_vectors(self, texts: list[str], purpose: Purpose) -> Any:
        """One list of numbers for each text, in their order, as the server gave them and unchecked."""

    @abstractmethod
    async def _probe(self) -> str:
        """Asks the server once; a sentence that says that all is well. Raises EmbeddingError when it is not."""

    async def _vectors(self, texts: list[str], purpose: Purpose) -> Vectors:
        rows = await self._request_vectors(texts, purpose)
        vectors = validate_vectors(
            rows, count=len(texts), dimensions=self._dimensions, embedder=self._client.label, model=self._model
        )
        self._dimensions = vectors.shape[1]
        return vectors
