"""Errors of embedders and of what ranks anew."""

from __future__ import annotations

from gateway.errors.root import ModelGateError


class EmbeddingError(ModelGateError, code="embedding"):
    """A text could not be turned into a vector; `detail` says what happened, `next_step` what to do about it."""

    def __init__(self, detail: str, next_step: str) -> None:
        """Both without a full stop; the message is made of the two."""
        super().__init__(f"{detail}; {next_step}.")
        self.detail = detail
        self.next_step = next_step


class EmbedderUnavailableError(EmbeddingError, code="embedder-unavailable"):
    """The embedder does not answer; try again in a moment."""


class EmbedderFailedError(EmbedderUnavailableError):
    """The embedder failed at a request, again and again, or did not end it in time: it may be for the texts in it."""

    def __init__(self, detail: str, next_step: str, *, timed_out: bool = False) -> None:
        super().__init__(detail, next_step)
        self.timed_out = timed_out


class TextRefusedError(EmbeddingError, code="text-refused"):
    """The embedder refuses a request for the texts in it, which are too long, too many, or none that it can embed."""

    def __init__(self, detail: str, next_step: str, reason: str = "") -> None:
        """`reason` is what the embedder said, empty where it said nothing."""
        super().__init__(detail, next_step)
        self.reason = reason or detail


class BadVectorError(EmbeddingError, code="bad-vector"):
    """The embedder returned a vector that cannot be used."""


class ModelChangedError(BadVectorError, code="model-changed"):
    """The model is another one under the name that it had; its vectors cannot be compared with those before."""


class RerankError(ModelGateError, code="rerank"):
    """The reranker gave no order; its message is half a sentence, what happened to which reranker."""
