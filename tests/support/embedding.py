"""Vectors of texts that all can be embedded."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.embedding.embedder import Embedder, Vectors, stack_vectors
from gateway.embedding.spaces.spaces import Spaces


async def embed_documents(embedder: Embedder | Spaces, texts: Sequence[str]) -> Vectors:
    """Vectors of what is searched for: float32, shape (len(texts), d). Raises EmbeddingError where one has none."""
    return stack_vectors(await embedder.embed_each(texts), len(texts))
