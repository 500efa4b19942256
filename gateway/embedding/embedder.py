"""What every embedder can do, and what is known of the vectors it makes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.errors import EmbeddingError, TextRefusedError

Vectors: TypeAlias = NDArray[np.float32]
"""float32, shape (n, d) or (d,), each row of length 1."""

# Models answer an empty text with nothing, NaN or an error; a fixed word gives it a harmless vector instead.
EMPTY_PLACEHOLDER = "empty"

TEXT_TEMPLATE_VERSION = 1
"""Raised when the texts made of a tool change, so that their vectors count as another space."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Vectors are comparable within one space and never across two.

    `build` tells the weights behind the model's name from others; it is empty as long as it is not known.
    """

    provider: str
    model: str
    dimensions: int
    document_prefix: str = ""
    query_prefix: str = ""
    build: str = ""

    @property
    def key(self) -> str:
        """64 hex digits (SHA-256) that are the same for the same space in every process."""
        parts = [
            self.provider,
            self.model,
            self.dimensions,
            self.document_prefix,
            self.query_prefix,
            TEXT_TEMPLATE_VERSION,
        ]
        if self.build:
            parts.append(self.build)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EmbedderHealth:
    """Whether an embedder could be used just now.

    `detail` is a sentence for a person, `next_step` what to do about it (empty when `ok`), `latency_ms` how long the
    check took, None when nothing answered.
    """

    ok: bool
    detail: str
    model: str
    latency_ms: float | None = None
    next_step: str = ""

    @classmethod
    def from_error(cls, error: EmbeddingError, model: str) -> EmbedderHealth:
        """The health that an error tells of, in its words."""
        step = f"{error.next_step[:1].upper()}{error.next_step[1:]}."
        return cls(ok=False, detail=f"{error.detail}.", model=model, next_step=step)


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """What became of texts, by their places among those that were given.

    `vectors` holds a float32 vector of shape (d,) for each that was embedded, `refused` why one alone cannot be, and
    `cut` the places of texts of which the model read the beginning only. What is in neither was not reached: in time,
    or because of `failure`, which is the embedder's own and no text's.
    """

    vectors: Mapping[int, Vectors] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    cut: frozenset[int] = frozenset()
    failure: EmbeddingError | None = None


class Embedder(Protocol):
    """Turns texts into vectors of length 1.

    Every method that makes vectors raises EmbedderUnavailableError when the embedder does not answer, BadVectorError
    when what it returned is not a usable vector, and EmbeddingError for all else (a missing model, a refused key).
    An empty text is embedded as a fixed placeholder, and one that is longer than what the model reads is cut.
    """

    @property
    def is_remote(self) -> bool:
        """Whether each vector costs a request over the network."""
        ...

    @property
    def name(self) -> str:
        """What makes its vectors, as `SERVICE/MODEL`."""
        ...

    @property
    def waiting_texts(self) -> int:
        """How many texts wait for it."""
        ...

    @property
    def is_left_alone(self) -> bool:
        """Whether it failed so often that it is not asked for a while."""
        ...

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        """Vectors of what is searched for, the first ones first, each text by itself: one that cannot be embedded costs
        no other its vector. Raises nothing, and begins nothing after `until` (of `time.monotonic`).
        """
        ...

    async def embed_query(self, text: str) -> Vectors:
        """The vector of what is asked: float32, shape (d,)."""
        ...

    async def space(self) -> EmbeddingSpace:
        """The space of this embedder's vectors; the first call asks the model for its dimensions."""
        ...

    async def build(self) -> str:
        """What tells the model's weights from others under its name; empty where only its vectors do."""
        ...

    def matches_space(self, space: EmbeddingSpace) -> bool:
        """Whether its vectors belong to `space`, its build aside, as far as can be said without asking the model."""
        ...

    def forget_weights(self) -> None:
        """The model has others from now on: nothing that is known of the former ones holds."""
        ...

    async def check_health(self) -> EmbedderHealth:
        """Asks once, without retrying; never raises for an embedder that is down."""
        ...

    async def aclose(self) -> None:
        """Closes connections; the embedder cannot be used afterwards."""
        ...


def prepare_text(text: str) -> str:
    """`text`, never empty, and without lone surrogates, which have no UTF-8 form."""
    prepared = text.encode("utf-8", "replace").decode("utf-8")
    return prepared if prepared.strip() else EMPTY_PLACEHOLDER


def stack_vectors(embedded: EmbeddedTexts, count: int) -> Vectors:
    """The vectors of `count` texts, at least one: float32, shape (count, d).

    Raises the failure that `embedded` tells of, and TextRefusedError where a text was refused.
    """
    if embedded.failure is not None:
        raise embedded.failure
    for place, reason in sorted(embedded.refused.items()):
        raise TextRefusedError(
            f"Text {place + 1} of {count} cannot be embedded ({reason})", "shorten it or leave it out", reason
        )
    return np.stack([embedded.vectors[place] for place in range(count)])
