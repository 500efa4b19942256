"""Static vectors of tokens, as `wordllama` brings them: a text's vector is the mean of its tokens' vectors.

256 dimensions, 32,000 tokens of many languages, 16 MB. The files are read directly: the package's own loader keeps a
second, float32 copy of them, configures logging, imports an HTTP client that could download, and pads each batch to its
longest text; without it the vectors are the same at half of the memory.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.embedding.embedder import EmbeddingSpace, Vectors
from gateway.embedding.local.local_embedder import LocalEmbedder
from gateway.embedding.vector_check import normalize_vectors
from gateway.errors import EmbeddingError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUILTIN_PROVIDER = "builtin"
STATIC_MODEL = "l2_supercat_256"
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"


class StaticModel:
    """A tokenizer and one vector a token; weights are float16 of shape (tokens, d)."""

    def __init__(self, tokenizer: Tokenizer, weights: np.ndarray[Any, np.dtype[np.float16]], build: str) -> None:
        self._tokenizer = tokenizer
        self._weights = weights
        self.space = EmbeddingSpace(BUILTIN_PROVIDER, STATIC_MODEL, int(weights.shape[1]), build=build)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of non-empty texts: float32, shape (len(texts), d), rows of length 1."""
        means = np.empty((len(texts), self.space.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            # One at a time: a batch would be padded to its longest text and start threads that a fork breaks.
            tokens = self._tokenizer.encode(text, add_special_tokens=False).ids
            means[row] = self._weights[tokens].astype(np.float32).mean(axis=0)
        return normalize_vectors(means, embedder="The builtin embedder", model=STATIC_MODEL)

    def embed_query(self, text: str) -> Vectors:
        """The vector of a non-empty text, float32, shape (d,), of length 1."""
        vector: Vectors = self.embed([text])[0]
        return vector

    def reads_whole(self, text: str) -> bool:
        """It reads all of every text."""
        return True


class StaticEmbedder(LocalEmbedder):
    """The builtin embedder of version 0.1: it searches what that version stored until a new space is full."""

    def __init__(self) -> None:
        super().__init__(load_static_model, BUILTIN_PROVIDER, STATIC_MODEL)


def load_static_model() -> StaticModel:
    """Reads the model from the installed package (about 0.1 s, 40 MB). Raises EmbeddingError where it is damaged."""
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        found = importlib.util.find_spec("wordllama")
        folder = Path(((found and found.submodule_search_locations) or [""])[0])
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        weights = load_file(folder / _WEIGHTS)["embedding.weight"]
    except Exception as error:
        raise EmbeddingError(
            "The builtin embedder's static vectors are missing or damaged",
            "run `pip install --force-reinstall wordllama`",
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return StaticModel(tokenizer, weights, hashlib.sha256(weights.data).hexdigest())
