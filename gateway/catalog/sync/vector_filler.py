"""Vectors for tools that were stored while the embedder was down or had no time, and a space that is to take over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from gateway.catalog.sync.text_vectors import TextVectors, complete_vectors, embed_texts, store_vectors
from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool import stored_definition
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.spaces import FillTarget, Spaces
from gateway.errors import EmbeddingError, ModelGateError

logger = logging.getLogger(__name__)

# What is made in so long is written, so that not much is lost when the process ends.
_BATCH_SECONDS = 5.0
_BATCH_TOOLS = 512
_COUNT_SECONDS = 60.0
# The same trouble is told again after so long.
_REMIND_SECONDS = 600.0


class VectorFiller:
    """Fills in vectors, of all tenants."""

    def __init__(self, database: Database, spaces: Spaces, every_seconds: float = 5.0) -> None:
        self._database = database
        self._spaces = spaces
        self._every = every_seconds
        self._told = ("", 0.0)
        self._counted_at = -_COUNT_SECONDS

    async def run(self) -> None:
        """Look again and again, until cancelled; an embedder or database that is down is tried again later."""
        while True:
            try:
                filled = await self.fill()
                if filled:
                    logger.info("Embedded %d tools that lacked vectors.", filled)
                self._told = ("", 0.0)
            except ModelGateError as error:
                self._tell(error.message)
            await asyncio.sleep(self._every)

    async def fill(self) -> int:
        """Embed every tool that lacks vectors in the spaces that are to hold them all, and let the configured one serve
        once it does; returns how many.

        Raises EmbeddingError where an embedder fails, after those of the others are there; what it made is stored.
        """
        await self._spaces.drop_expired()
        filled = 0
        plan = await self._spaces.fill_plan()
        failure = plan.failure
        for target in plan.targets:
            try:
                filled += await self._fill_space(target)
            except EmbeddingError as error:
                failure = failure or error
        if filled:
            await self._database.execute("analyze_catalogue")
        if filled or time.monotonic() - self._counted_at > _COUNT_SECONDS:
            self._spaces.lacking = await self._spaces.store.lacking()
            self._counted_at = time.monotonic()
        if failure is not None:
            raise failure
        return filled

    async def _fill_space(self, target: FillTarget) -> int:
        space, store = target.stored, self._spaces.store
        filled = 0
        while rows := await self._database.fetch("tools_without_vectors", space.id, _BATCH_TOOLS):
            # Two processes would embed the same tools, each at its own price.
            if not await store.lease(space.id):
                return filled
            filled += await self._fill_some(target, rows)
        if filled:
            await store.release(space.id)
        if await self._spaces.finish(target):
            logger.info("Searches now use %s (%s).", space.space.model, space.space.provider)
        return filled

    async def _fill_some(self, target: FillTarget, rows: Sequence[Row]) -> int:
        """Embed as many of these tools as take a few seconds; returns how many have all their vectors now."""
        texts = {row["id"]: build_tool_texts(row["server_name"], stored_definition(row)) for row in rows}
        begun = {row["id"] for row in rows if row["is_begun"]}
        wanted = [text.combined for tool_id, text in texts.items() if tool_id not in begun]
        wanted += [part for tool_id in begun for part in (texts[tool_id].name, texts[tool_id].description)]
        space_id = target.stored.id
        embedded = await embed_texts(target.embed_each, wanted, time.monotonic() + _BATCH_SECONDS)
        for reason in sorted(set(embedded.refused.values())):
            logger.warning("Texts of tools cannot be embedded and are found by words alone: %s", reason)
        by_tenant: dict[int, list[Row]] = {}
        for row in rows:
            by_tenant.setdefault(row["tenant_id"], []).append(row)
        completed = 0
        for tenant_id, of_tenant in by_tenant.items():
            completed += await self._store(space_id, tenant_id, of_tenant, texts, embedded)
        if embedded.failure is not None:
            raise embedded.failure
        return completed

    async def _store(
        self,
        space_id: int,
        tenant_id: int,
        rows: Sequence[Row],
        texts: dict[int, ToolTexts],
        embedded: TextVectors,
    ) -> int:
        async with self._database.transaction() as transaction:
            # A sync may have changed a tool while its former texts were embedded.
            unchanged = await transaction.fetch(
                "lock_unchanged_tools", tenant_id, [row["id"] for row in rows], [row["content_hash"] for row in rows]
            )
            kept = {row["id"] for row in unchanged}
            new = {row["id"]: texts[row["id"]] for row in rows if row["id"] in kept and not row["is_begun"]}
            begun = {row["id"]: texts[row["id"]] for row in rows if row["id"] in kept and row["is_begun"]}
            stored = await store_vectors(transaction, tenant_id, space_id, new, embedded)
            completed = await complete_vectors(transaction, tenant_id, space_id, begun, embedded)
            if stored or completed:
                await transaction.execute("bump_catalogue_version", tenant_id)
        return completed

    def _tell(self, message: str) -> None:
        said, at = self._told
        if message == said and time.monotonic() - at < _REMIND_SECONDS:
            return
        self._told = (message, time.monotonic())
        logger.warning("Tools without vectors are found by words alone for the moment: %s", message)
