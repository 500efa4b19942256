"""What the embedders behind an HTTP server share: prefixes, batches, the dimension learned, the checks."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from gateway.embedding.embedder import (
    EmbeddedTexts,
    EmbedderHealth,
    EmbeddingSpace,
    Vectors,
    prepare_text,
)
from gateway.embedding.embedding_log import log_embeddings
from gateway.embedding.model_input_format import ModelInputFormat, input_format_for
from gateway.embedding.servers.adaptive_batcher import AdaptiveBatcher
from gateway.embedding.servers.batch_bisector import BatchBisector, EmbeddedText, RefusedText, ResponseRow
from gateway.embedding.servers.document_queue import DocumentQueue
from gateway.embedding.servers.http_client import EmbeddingHttpClient, Purpose
from gateway.embedding.text_length import FittedText, estimate_tokens, fit_text
from gateway.embedding.vector_check import check_vectors, normalize_vectors
from gateway.errors import BadVectorError, EmbedderFailedError, EmbeddingError, ModelChangedError, TextRefusedError

_PROBE_TEXT = "How many dimensions has a vector of this model?"
_HEALTH_TEXT = "Is the embedder well?"
_ISOLATION_SECONDS = 5.0
# What tokenizers add at both ends.
_SPECIAL_TOKENS = 4


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How a server is asked: at most `batch_size` texts in a request, and `concurrency` of these under way.

    `dimensions` is what a vector is cut to, 0 as the model gives it; `input_format` what the model expects of a text,
    None for what is known of it.
    """

    batch_size: int = 128
    concurrency: int = 8
    dimensions: int = 0
    input_format: ModelInputFormat | None = None


class RemoteEmbedder(ABC):
    """An embedder whose model runs in a server of its own."""

    provider: ClassVar[str]
    is_remote = True

    def __init__(self, client: EmbeddingHttpClient, model: str, options: RemoteOptions) -> None:
        self._client = client
        self._model = model
        self._input_format = options.input_format or input_format_for(model)
        self._wanted_dimensions = options.dimensions
        self._given_dimensions: int | None = None
        # Whether what was asked for last gave no vector at all, though it was no text's fault.
        self._gives_no_vectors = False
        self.max_tokens = self._input_format.max_tokens
        self.batcher = AdaptiveBatcher(options.batch_size, options.concurrency)
        self._bisector = BatchBisector(self._send, self.batcher)
        self._documents = DocumentQueue(self._bisector.embed, self.batcher)

    @property
    def label(self) -> str:
        """Its server, as messages name it."""
        return self._client.label

    @property
    def name(self) -> str:
        return f"{self.provider}/{self._model}"

    @property
    def waiting_texts(self) -> int:
        return self._documents.waiting_texts

    @property
    def is_left_alone(self) -> bool:
        return self._client.is_left_alone

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        fitted = [self._fit(text, self._input_format.document_prefix) for text in texts]
        started = time.perf_counter()
        answers = await self._documents.embed([(each.text, each.tokens) for each in fitted], until)
        cut = {place for place, each in enumerate(fitted) if each.is_cut}
        vectors: dict[int, Vectors] = {}
        refused: dict[int, str] = {}
        failure: EmbeddingError | None = None
        kept = [
            text
            for text, answer in zip(texts, answers, strict=True)
            if isinstance(answer, EmbeddedText) and answer.is_kept
        ]
        log_embeddings(self.name, kept, time.perf_counter() - started, cache_hit=True)
        for place, answer in enumerate(answers):
            if isinstance(answer, EmbeddedText):
                vectors[place] = answer.vector
                if answer.is_cut:
                    cut.add(place)
            elif isinstance(answer, RefusedText):
                refused[place] = answer.reason
            elif answer is not None:
                failure = answer
        return EmbeddedTexts(vectors, refused, frozenset(cut), failure)

    async def embed_query(self, text: str) -> Vectors:
        fitted = self._fit(text, self._input_format.query_prefix)
        self._documents.query_began()
        try:
            return await self._bisector.embed_query(fitted.text)
        finally:
            self._documents.query_ended()

    async def space(self) -> EmbeddingSpace:
        if self._given_dimensions is None:
            await self._bisector.embed_query(_PROBE_TEXT)
        assert self._given_dimensions is not None
        return EmbeddingSpace(
            provider=self.provider,
            model=self._model,
            dimensions=self._wanted_dimensions or self._given_dimensions,
            document_prefix=self._input_format.document_prefix,
            query_prefix=self._input_format.query_prefix,
            build=await self.build(),
        )

    @abstractmethod
    async def build(self) -> str:
        """See `Embedder.build`."""

    def matches_space(self, space: EmbeddingSpace) -> bool:
        form = self._input_format
        return (
            (space.provider, space.model) == (self.provider, self._model)
            and (space.document_prefix, space.query_prefix) == (form.document_prefix, form.query_prefix)
            and self._wanted_dimensions in (0, space.dimensions)
        )

    def forget_weights(self) -> None:
        self._given_dimensions = None
        self._documents.forget()

    async def check_health(self) -> EmbedderHealth:
        started = time.perf_counter()
        try:
            detail = await self._probe()
            if self._gives_no_vectors:
                await self._require_vector()
        except EmbeddingError as error:
            return EmbedderHealth.from_error(error, self._model)
        return EmbedderHealth(True, detail, self._model, (time.perf_counter() - started) * 1000)

    async def aclose(self) -> None:
        await self._documents.aclose()
        await self._client.aclose()

    @abstractmethod
    async def _request_vectors(self, texts: Sequence[str], purpose: Purpose, timeout_seconds: float | None) -> Any:
        """One list of numbers for each text, in their order, as the server gave them and unchecked.

        Raises TextRefusedError where the server refuses the request for what is in it.
        """

    @abstractmethod
    async def _probe(self) -> str:
        """Asks the server once; a sentence that says that all is well. Raises EmbeddingError when it is not."""

    async def _require_vector(self) -> None:
        """Embeds a short text. Raises EmbeddingError where it gets no vector that can be used."""
        [row] = await self._send([_HEALTH_TEXT], "check")
        if isinstance(row, str):
            raise BadVectorError(row, "update that server or the model, or choose another embedder.model")

    @property
    def _dimensions_to_ask_for(self) -> int:
        """What the server is asked to cut vectors to; 0 where it is not asked, as the model cannot be cut to it."""
        shortest = self._input_format.shortest_dimensions
        return self._wanted_dimensions if shortest and shortest <= self._wanted_dimensions else 0

    def _fit(self, text: str, prefix: str) -> FittedText:
        room = self.max_tokens - _SPECIAL_TOKENS - estimate_tokens(prefix)
        fitted = fit_text(prepare_text(text), room)
        return FittedText(prefix + fitted.text, fitted.tokens + estimate_tokens(prefix), fitted.is_cut)

    async def _send(self, texts: Sequence[str], purpose: Purpose) -> list[ResponseRow]:
        """See `SendTexts`; the batcher learns from what documents take."""
        tokens = sum(map(estimate_tokens, texts))
        timeout: float | None = None
        if purpose == "documents":
            timeout = self.batcher.seconds_allowed(tokens, self._client.timeout_seconds)
        elif purpose == "isolation":
            # It has answered a moment ago; what takes far longer than that is at fault.
            timeout = self.batcher.seconds_allowed(tokens, min(self._client.timeout_seconds, _ISOLATION_SECONDS))
        started = time.monotonic()
        try:
            rows = await self._rows(texts, purpose, timeout)
        except EmbedderFailedError as error:
            if error.timed_out and purpose == "documents":
                self.batcher.record_timeout()
            # A server that is busy, or loads its model, gives vectors later.
            self._gives_no_vectors = self._gives_no_vectors or not error.timed_out
            raise
        except (TextRefusedError, ModelChangedError):
            raise
        except EmbeddingError:
            self._gives_no_vectors = True
            raise
        embedded = [text for text, row in zip(texts, rows, strict=True) if not isinstance(row, str)]
        self._gives_no_vectors = not embedded
        log_embeddings(self.name, embedded, time.monotonic() - started, cache_hit=False)
        if purpose == "documents":
            self.batcher.record(len(texts), tokens, started, time.monotonic())
        return rows

    async def _rows(self, texts: Sequence[str], purpose: Purpose, timeout_seconds: float | None) -> list[ResponseRow]:
        given = await self._request_vectors(texts, purpose, timeout_seconds)
        try:
            rows = check_vectors(
                given,
                count=len(texts),
                dimensions=self._given_dimensions,
                embedder=self._client.label,
                model=self._model,
            )
        except ModelChangedError:
            # From now on it is what it says; whoever keeps its vectors is told once.
            self.forget_weights()
            raise
        if self._given_dimensions is None:
            self._given_dimensions = next((len(row) for row in rows if not isinstance(row, str)), None)
        return [row if isinstance(row, str) else self._cut(row) for row in rows]

    def _cut(self, vector: Vectors) -> Vectors:
        """`vector` in the dimensions that are wanted. Raises EmbeddingError where its model cannot be cut to them."""
        given, wanted = len(vector), self._wanted_dimensions
        if wanted in (0, given):
            return vector
        shortest = self._input_format.shortest_dimensions
        if shortest and shortest <= wanted < given:
            cut = normalize_vectors(vector[None, :wanted], embedder=self._client.label, model=self._model)
            shorter: Vectors = cut[0]
            return shorter
        may_be = f"{shortest} to {given}, or 0 for {given}" if shortest and shortest < given else f"{given}, or to 0"
        raise EmbeddingError(
            f"{self._model} gives vectors of {given} dimensions and embedder.dimensions is {wanted}",
            f"set embedder.dimensions to {may_be}",
        )
