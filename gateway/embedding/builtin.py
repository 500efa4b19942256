"""The embedder that needs nothing but its package: the static vectors that `wordllama` brings, in this process.

A text's vector is the mean of its tokens' vectors (256 dimensions, 32,000 tokens, 16 MB). The files are read directly:
the package's own loader keeps a second, float32 copy of them, configures logging, imports an HTTP client that could
download, and pads each batch to its longest text; without it the vectors are the same at half of the memory.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import numpy as np

from gateway import EMBEDDED_EXTRA
from gateway.embedding.embedder import EmbedderHealth, EmbeddingSpace, Vectors, prepare_text
from gateway.embedding.vector_check import normalize_vectors
from gateway.errors import EmbeddingError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MODEL = "l2_supercat_256"
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_BATCH_SIZE = 64


class StaticModel:
    """A tokenizer and one vector a token; weights are float16 of shape (tokens, d)."""

    def __init__(self, tokenizer: Tokenizer, weights: np.ndarray[Any, np.dtype[np.float16]]) -> None:
        self._tokenizer = tokenizer
        self._weights = weights

    @property
    def dimensions(self) -> int:
        return int(self._weights.shape[1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of non-empty texts: float32, shape (len(texts), d), rows of length 1."""
        means = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            # One at a time: a batch would be padded to its longest text and start threads that a fork breaks.
            tokens = self._tokenizer.encode(text, add_special_tokens=False).ids
            means[row] = self._weights[tokens].astype(np.float32).mean(axis=0)
        return normalize_vectors(means, embedder="The builtin embedder", model=_MODEL)


def load_static_model() -> StaticModel:
    """Reads the model from the installed package (about 0.1 s, 40 MB). Raises EmbeddingError where it is missing."""
    found = importlib.util.find_spec("wordllama")
    if found is None or not found.submodule_search_locations:
        raise EmbeddingError("The builtin embedder is not installed", f'run `pip install "{EMBEDDED_EXTRA}"`')
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        folder = Path(found.submodule_search_locations[0])
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        weights = load_file(folder / _WEIGHTS)["embedding.weight"]
    except Exception as error:
        raise EmbeddingError(
            "The builtin embedder's model is missing or damaged",
            f'run `pip install --force-reinstall "{EMBEDDED_EXTRA}"`',
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return StaticModel(tokenizer, weights)


class BuiltinEmbedder:
    """Embeds offline; the model is loaded on first use, off the event loop."""

    is_remote = False
    max_input_chars = 8_000

    def __init__(self, load_model: Callable[[], StaticModel] = load_static_model) -> None:
        """`load_model` is called once, in a thread."""
        self._load_model = load_model
        self._model: StaticModel | None = None
        self._loading = anyio.Lock()

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        model = await self._loaded_model()
        prepared = [prepare_text(text, self.max_input_chars) for text in texts]
        parts = [np.empty((0, model.dimensions), dtype=np.float32)]
        for start in range(0, len(prepared), _BATCH_SIZE):
            parts.append(await anyio.to_thread.run_sync(model.embed, prepared[start : start + _BATCH_SIZE]))
        return np.concatenate(parts)

    async def embed_query(self, text: str) -> Vectors:
        model = await self._loaded_model()
        # Inline: it takes some 0.03 ms, less than handing it to a thread.
        vector: Vectors = model.embed([prepare_text(text, self.max_input_chars)])[0]
        return vector

    async def space(self) -> EmbeddingSpace:
        model = await self._loaded_model()
        return EmbeddingSpace(provider="builtin", model=_MODEL, dimensions=model.dimensions)

    def matches_space(self, space: EmbeddingSpace) -> bool:
        return (space.provider, space.model) == ("builtin", _MODEL)

    async def check_health(self) -> EmbedderHealth:
        try:
            await self._loaded_model()
            started = time.perf_counter()
            await self.embed_query("is the embedder well")
        except EmbeddingError as error:
            return EmbedderHealth.from_error(error, _MODEL)
        latency_ms = (time.perf_counter() - started) * 1000
        return EmbedderHealth(True, "The builtin embedder is loaded and answers.", _MODEL, latency_ms)

    async def aclose(self) -> None:
        self._model = None

    async def _loaded_model(self) -> StaticModel:
        if self._model is None:
            async with self._loading:
                if self._model is None:
                    self._model = await anyio.to_thread.run_sync(self._load_model)
        return self._model
