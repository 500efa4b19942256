"""Vectors of tools: made from their texts, each text once, and filled in later where the embedder was down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool import stored_definition
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.embedding.embedder import Vectors
from gateway.embedding.spaces import Spaces
from gateway.errors import ModelGateError

logger = logging.getLogger(__name__)

# Texts handed to the embedder at a time: after each, progress is told.
_EMBED_BATCH = 96
_FILL_BATCH = 64

VectorsByText = Mapping[str, Vectors]
OnEmbedded = Callable[[int, int], None]
"""Is told how many texts of how many are embedded."""


async def embed_texts(
    spaces: Spaces, texts: Sequence[ToolTexts], on_progress: OnEmbedded | None = None
) -> VectorsByText:
    """The vector, float32 of shape (d,), of each text of `texts`; a text that occurs twice is embedded once.

    `on_progress(done, total)` counts texts. Raises EmbeddingError.
    """
    distinct = list(dict.fromkeys(part for text in texts for part in (text.name, text.description, text.combined)))
    vectors: dict[str, Vectors] = {}
    for start in range(0, len(distinct), _EMBED_BATCH):
        if on_progress is not None:
            on_progress(start, len(distinct))
        chunk = distinct[start : start + _EMBED_BATCH]
        vectors.update(zip(chunk, await spaces.embed_documents(chunk), strict=True))
    if on_progress is not None:
        on_progress(len(distinct), len(distinct))
    return vectors


async def store_vectors(
    transaction: DatabaseConnection,
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
            except ModelGateError as error:
                logger.debug("Tools without vectors stay so for the moment: %s", error)
            await asyncio.sleep(self._every)

    async def fill(self) -> int:
        """Embed every tool without vectors in the wanted space, then let that space serve; returns how many."""
        await self._spaces.drop_replaced_space()
        wanted = await self._spaces.configured_space()
        filled = 0
        while rows := await self._database.fetch("tools_without_vectors", wanted.id, _FILL_BATCH):
            by_tenant: dict[int, list[Row]] = {}
            for row in rows:
                by_tenant.setdefault(row["tenant_id"], []).append(row)
            for tenant_id, of_tenant in by_tenant.items():
                filled += await self._fill(wanted.id, tenant_id, of_tenant)
        if filled:
            await self._database.execute("analyze_catalogue")
        if (await self._spaces.active_space()).id != wanted.id:
            await self._spaces.activate_configured_space()
            logger.info("Searches now use %s (%s).", wanted.space.model, wanted.space.provider)
        return filled

    async def _fill(self, space_id: int, tenant_id: int, rows: Sequence[Row]) -> int:
        texts = {row["id"]: build_tool_texts(row["server_name"], stored_definition(row)) for row in rows}
        vectors = await embed_texts(self._spaces, list(texts.values()))
        async with self._database.transaction() as transaction:
            # A sync may have changed a tool while its former texts were embedded.
            unchanged = await transaction.fetch(
                "lock_unchanged_tools", tenant_id, list(texts), [row["content_hash"] for row in rows]
            )
            kept = {row["id"]: texts[row["id"]] for row in unchanged}
            await store_vectors(transaction, tenant_id, space_id, kept, vectors)
            await transaction.execute("bump_catalogue_version", tenant_id)
        return len(kept)
