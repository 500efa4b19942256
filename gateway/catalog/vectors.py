"""Vectors of tools: made from their texts, each text once, and filled in later where the embedder was down."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence

from gateway.catalog.text import ToolTexts, texts_of
from gateway.catalog.tool import ToolDefinition
from gateway.database.pool import Database, Statements
from gateway.embedding.embedder import Vectors
from gateway.embedding.spaces import Spaces
from gateway.errors import DatabaseError, EmbeddingError

logger = logging.getLogger(__name__)

# Texts handed to the embedder at a time: after each, progress is told.
_CHUNK = 96
_FILL_AT_A_TIME = 64

VectorsByText = Mapping[str, Vectors]


async def embed_texts(
    spaces: Spaces, texts: Sequence[ToolTexts], on_progress: Callable[[int, int], None] | None = None
) -> VectorsByText:
    """The vector, float32 of shape (d,), of each text of `texts`; a text that occurs twice is embedded once.

    `on_progress(done, total)` counts texts. Raises EmbeddingError.
    """
    distinct = list(dict.fromkeys(part for text in texts for part in (text.name, text.description, text.combined)))
    vectors: dict[str, Vectors] = {}
    for start in range(0, len(distinct), _CHUNK):
        if on_progress is not None:
            on_progress(start, len(distinct))
        chunk = distinct[start : start + _CHUNK]
        vectors.update(zip(chunk, await spaces.embed_documents(chunk), strict=True))
    if on_progress is not None:
        on_progress(len(distinct), len(distinct))
    return vectors


async def store_vectors(
    transaction: Statements,
    tenant_id: int,
    space_id: int,
    texts: Mapping[int, ToolTexts],
    vectors: VectorsByText,
) -> None:
    """Write the three vectors of each tool in `texts` (by tool id)."""
    await transaction.executemany(
        "upsert_embedding",
        [
            (
                tenant_id,
                tool_id,
                space_id,
                text.hash,
                *(vectors[t] for t in (text.name, text.description, text.combined)),
            )
            for tool_id, text in texts.items()
        ],
    )


class VectorFiller:
    """Gives vectors to tools that were stored while the embedder was down, and fills a space that is to take over."""

    def __init__(self, database: Database, spaces: Spaces, every_seconds: float = 5.0) -> None:
        self._database = database
        self._spaces = spaces
        self._every = every_seconds

    async def run(self) -> None:
        """Look again and again, until cancelled; an embedder or database that is down is tried again later."""
        while True:
            try:
                filled = await self.fill()
                if filled:
                    logger.info("Embedded %d tools that had no vectors.", filled)
            except (EmbeddingError, DatabaseError) as error:
                logger.debug("Tools without vectors stay so for the moment: %s", error)
            await asyncio.sleep(self._every)

    async def fill(self) -> int:
        """Embed every tool without vectors in the wanted space, then let that space serve; returns how many."""
        wanted = await self._spaces.wanted()
        filled = 0
        while rows := await self._database.fetch("tools_without_vectors", wanted.id, _FILL_AT_A_TIME):
            texts: dict[int, dict[int, ToolTexts]] = {}
            for row in rows:
                raw = json.loads(row["definition"])
                tool = ToolDefinition(row["name"], raw.get("description") or "", raw)
                texts.setdefault(row["tenant_id"], {})[row["id"]] = texts_of(row["server_name"], tool)
            for tenant_id, by_tool in texts.items():
                vectors = await embed_texts(self._spaces, list(by_tool.values()))
                async with self._database.transaction() as transaction:
                    await store_vectors(transaction, tenant_id, wanted.id, by_tool, vectors)
                    await transaction.execute("bump_catalogue", tenant_id)
            filled += len(rows)
        if (await self._spaces.serving()).id != wanted.id:
            await self._spaces.swap()
            logger.info("Searches now use %s (%s).", wanted.space.model, wanted.space.provider)
        return filled
