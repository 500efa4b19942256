"""Vectors of the texts of tools, made in the order in which they are of use, and written as far as they are there."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.catalog.text import ToolTexts
from gateway.database.connection import DatabaseConnection
from gateway.embedding.embedder import EmbeddedTexts, Vectors
from gateway.errors import EmbeddingError

# Texts handed to the embedder at a time: after each, progress is told.
_AT_ONCE = 512

EmbedEach = Callable[[Sequence[str], float], Awaitable[EmbeddedTexts]]
"""See `Embedder.embed_each`."""

OnEmbedded = Callable[[int, int], None]
"""Is told how many texts of how many are embedded."""


@dataclass(frozen=True, slots=True)
class TextVectors:
    """What became of texts: `vectors` are float32 (d,), `refused` says why one has none, of those in `cut` the model
    read the beginning only. Texts in neither were not reached, in time or because of `failure`.
    """

    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()
    failure: EmbeddingError | None = None

    def reached(self, text: str) -> bool:
        """Whether `text` has a vector, or cannot have one."""
        return text in self.vectors or text in self.refused


async def embed_texts(
    embed_each: EmbedEach, texts: Sequence[str], until: float = math.inf, on_progress: OnEmbedded | None = None
) -> TextVectors:
    """Embed `texts` with what an embedder or a space embeds with, the first ones first, each once however often it
    occurs, and none that is not begun by `until` (of `time.monotonic`). `on_progress(done, total)` counts texts.
    """
    distinct = list(dict.fromkeys(texts))
    vectors: dict[str, Vectors] = {}
    refused: dict[str, str] = {}
    cut: set[str] = set()
    for start in range(0, len(distinct), _AT_ONCE):
        if on_progress is not None:
            on_progress(start, len(distinct))
        chunk = distinct[start : start + _AT_ONCE]
        embedded = await embed_each(chunk, until)
        vectors.update((chunk[place], vector) for place, vector in embedded.vectors.items())
        refused.update((chunk[place], reason) for place, reason in embedded.refused.items())
        cut.update(chunk[place] for place in embedded.cut)
        if embedded.failure is not None:
            return TextVectors(vectors, refused, frozenset(cut), embedded.failure)
        if len(embedded.vectors) + len(embedded.refused) < len(chunk):
            break
    if on_progress is not None:
        on_progress(len(vectors) + len(refused), len(distinct))
    return TextVectors(vectors, refused, frozenset(cut))


def in_order_of_use(texts: Sequence[ToolTexts]) -> list[str]:
    """The texts of tools, the combined ones first: with these alone tools are found."""
    return [text.combined for text in texts] + [part for text in texts for part in (text.name, text.description)]


async def store_vectors(
    transaction: DatabaseConnection,
    tenant_id: int,
    space_id: int,
    texts: Mapping[int, ToolTexts],
    embedded: TextVectors,
) -> int:
    """Write the vectors of the tools in `texts` (by tool id) of which the combined text was reached; returns of how
    many.
    """
    rows = []
    for tool_id, text in texts.items():
        if not embedded.reached(text.combined):
            continue
        parts = {"name": text.name, "description": text.description, "combined": text.combined}
        is_complete = all(embedded.reached(part) for part in parts.values())
        if not is_complete:
            parts = {"combined": text.combined}
        rows.append(
            (
                tenant_id,
                tool_id,
                space_id,
                text.hash,
                *(embedded.vectors.get(parts.get(part, "")) for part in ("name", "description", "combined")),
                *_remarks(parts, embedded),
                is_complete,
            )
        )
    await transaction.executemany("upsert_embedding", rows)
    return len(rows)


async def complete_vectors(
    transaction: DatabaseConnection,
    tenant_id: int,
    space_id: int,
    texts: Mapping[int, ToolTexts],
    embedded: TextVectors,
) -> int:
    """Write the vectors of names and descriptions beside those of the combined texts; returns of how many tools."""
    rows = []
    for tool_id, text in texts.items():
        parts = {"name": text.name, "description": text.description}
        if all(embedded.reached(part) for part in parts.values()):
            vectors = (embedded.vectors.get(part) for part in parts.values())
            rows.append((tenant_id, tool_id, space_id, text.hash, *vectors, *_remarks(parts, embedded)))
    await transaction.executemany("complete_embedding", rows)
    return len(rows)


def _remarks(parts: Mapping[str, str], embedded: TextVectors) -> tuple[dict[str, str], list[str]]:
    """Why which part has no vector, and of which the model read the beginning only."""
    refused = {part: embedded.refused[text] for part, text in parts.items() if text in embedded.refused}
    return refused, [part for part, text in parts.items() if text in embedded.cut]
