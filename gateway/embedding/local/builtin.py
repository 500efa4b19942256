"""The embedder that needs nothing but this package.

Two models side by side in one vector of 640 dimensions, so that one product gives the weighted mean of their cosines:
`model/`, a sentence encoder tuned on requests that agents make for tools (English, see `model/MODEL.md`), and static
vectors of 32,000 tokens, which know words of many languages. What each adds is measured in `bench/retrieval.py`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from gateway.embedding.embedder import EmbedderHealth, EmbeddingSpace, Vectors
from gateway.embedding.local.local_embedder import LocalEmbedder, LocalModel
from gateway.embedding.local.onnx_model import OnnxModel, load_onnx_model
from gateway.embedding.local.static_model import BUILTIN_PROVIDER, STATIC_MODEL, StaticModel, load_static_model
from gateway.errors import EmbeddingError

# Another name whenever the vectors become others: it is how an installation knows that it has to make them anew.
BUILTIN_MODEL = f"tool-search-minilm-int8+{STATIC_MODEL}"

# Shares of the cosine.
_ENCODER_SHARE, _STATIC_SHARE = 0.75, 0.25

# From the one to the other number of pieces that a word of a query falls into, the static vectors take over: English is
# below, what the encoder cannot read above. The queries of `tests/cases/languages.json` show what it is worth.
_READABLE_PIECES, _UNREADABLE_PIECES = 2.0, 4.0
# Fewer words in plain letters tell too little of their language: most are names, as `kubectl`, which fall into pieces.
_MIN_TELLING_WORDS = 3


class BuiltinModel:
    """The encoder's vector, then the static one, each scaled by the root of its share: together of length 1."""

    def __init__(self, encoder: OnnxModel, static: StaticModel) -> None:
        self._encoder = encoder
        self._static = static
        dimensions = encoder.space.dimensions + static.space.dimensions
        build = hashlib.sha256((encoder.space.build + static.space.build).encode()).hexdigest()
        self.space = EmbeddingSpace(BUILTIN_PROVIDER, BUILTIN_MODEL, dimensions, build=build)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of non-empty texts: float32, shape (len(texts), d), rows of length 1."""
        return self._side_by_side(texts, math.sqrt(_ENCODER_SHARE), math.sqrt(_STATIC_SHARE))

    def embed_query(self, text: str) -> Vectors:
        """The vector of a query, float32, shape (d,). Its product with a document is the weighted mean of both cosines.

        The less of it is English, the more the static one weighs; then it is longer than 1.
        """
        encoder_share = _ENCODER_SHARE * (1 - self._unread(text))
        # A document's halves have the roots of their shares.
        lengths = encoder_share / math.sqrt(_ENCODER_SHARE), (1 - encoder_share) / math.sqrt(_STATIC_SHARE)
        vector: Vectors = self._side_by_side([text], *lengths)[0]
        return vector

    def _unread(self, text: str) -> float:
        """How little of a query the encoder can read, from 0 to 1."""
        if text.isascii() and len(text.split()) < _MIN_TELLING_WORDS:
            return 0.0
        pieces = self._encoder.pieces_per_word(text)
        return min(max((pieces - _READABLE_PIECES) / (_UNREADABLE_PIECES - _READABLE_PIECES), 0.0), 1.0)

    def _side_by_side(self, texts: Sequence[str], encoder_length: float, static_length: float) -> Vectors:
        encoded = self._encoder.embed(texts) * np.float32(encoder_length)
        static = self._static.embed(texts) * np.float32(static_length)
        return np.concatenate([encoded, static], axis=1)

    def reads_whole(self, text: str) -> bool:
        """Whether the encoder reads all of `text`; the static vectors do."""
        return self._encoder.reads_whole(text)


def knows_english_only(space: EmbeddingSpace) -> bool:
    """Whether the model of `space` was tuned on English alone; of the others it is not known."""
    return space.provider == BUILTIN_PROVIDER and space.model != STATIC_MODEL


def model_folder() -> Path:
    """Where the package keeps its encoder."""
    return Path(str(resources.files("gateway.embedding") / "model"))


def load_builtin_model() -> BuiltinModel:
    """Reads both models (0.3 s, 90 MB). Raises EmbeddingError where one is missing or damaged."""
    try:
        encoder = load_onnx_model(model_folder())
    except EmbeddingError as error:
        raise EmbeddingError(error.detail, "run `pip install --force-reinstall modelgate-mcp`") from error
    return BuiltinModel(encoder, load_static_model())


class BuiltinEmbedder(LocalEmbedder):
    """The embedder that the package brings."""

    def __init__(self, load: Callable[[], LocalModel] = load_builtin_model, remark: str = "") -> None:
        """`remark` says what a person has to know beside that it is well."""
        super().__init__(load, BUILTIN_PROVIDER, BUILTIN_MODEL)
        self._remark = remark

    async def check_health(self) -> EmbedderHealth:
        """As that of every local embedder, with the remark."""
        health = await super().check_health()
        return replace(health, detail=f"{health.detail} {self._remark}") if health.ok and self._remark else health
