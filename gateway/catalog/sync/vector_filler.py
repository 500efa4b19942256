"""Vectors for tools that were stored while the embedder was down or had no time, and a space that is to take over."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from gateway.catalog.category_proposal import CategoryProposals
from gateway.catalog.sync.fill_rate import FillRate
from gateway.catalog.sync.text_vectors import TextVectors, complete_vectors, embed_texts, store_vectors
from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool import stored_definition
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.spaces.fill_plan import FillTarget
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import DatabaseError, EmbeddingError, ModelGateError

logger = logging.getLogger(__name__)

# What is made in so long is written, so that not much is lost when the process ends.
_BATCH_SECONDS = 5.0
_BATCH_TOOLS = 512
_COUNT_SECONDS = 60.0
# The same trouble is told again after so long.
_REMIND_SECONDS = 600.0
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _FillResult:
    """How many tools got all their vectors, and what was in the way of others."""

    filled: int
    failure: EmbeddingError | None


class VectorFiller:
    """Fills in vectors, of all tenants."""

    def __init__(
        self,
        database: Database,
        spaces: Spaces,
        categories: CategoryProposals,
        every_seconds: float = 5.0,
        rate: FillRate | None = None,
    ) -> None:
        """Without `rate` it embeds as fast as it can."""
        self._database = database
        self._rate = rate or FillRate(0)
        self._spaces = spaces
        self._every = every_seconds
        self._told = ("", 0.0)
        self._counted_at = -_COUNT_SECONDS
        self._categories = categories

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
        try:
            await self._spaces.drop_expired()
        except DatabaseError as error:
            logger.info("Spaces that serve no longer are dropped later: %s", error)
        plan = await self._spaces.fill_plan()
        # The standby answers for the others from the first minute on, and works while they wait for their servers.
        standby = [target for target in plan.targets if target.is_standby]
        others = [target for target in plan.targets if not target.is_standby]
        outcomes = []
        for outcome in await asyncio.gather(self._fill_each(others), self._fill_each(standby), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            outcomes.append(outcome)
        filled = sum(outcome.filled for outcome in outcomes)
        failure = next(filter(None, (plan.failure, *(outcome.failure for outcome in outcomes))), None)
        if filled:
            await self._database.execute("analyze_catalogue")
        if filled or time.monotonic() - self._counted_at > _COUNT_SECONDS:
            self._spaces.lacking = await self._spaces.store.lacking()
            self._counted_at = time.monotonic()
        if failure is not None:
            raise failure
        return filled

    async def _fill_each(self, targets: Sequence[FillTarget]) -> _FillResult:
        filled = 0
        failure: EmbeddingError | None = None
        for target in targets:
            try:
                filled += await self._fill_space(target)
            except EmbeddingError as error:
                failure = failure or error
        return _FillResult(filled, failure)

    async def _fill_space(self, target: FillTarget) -> int:
        space, store = target.stored, self._spaces.store
        filled = 0
        while rows := await self._database.fetch("tools_without_vectors", space.id, _BATCH_TOOLS):
            if not target.is_standby:
                # What there is no room for comes with the next look; meanwhile other spaces are filled.
                rows = self._within_rate(rows)
                if not rows:
                    return filled
            # Two processes would embed the same tools, each at its own price.
            if not await store.lease(space.id):
                return filled
            begun, completed = await self._fill_some(target, rows)
            filled += completed
            if not begun and not completed:
                # The next look is soon enough.
                return filled
        if filled:
            await store.release(space.id)
        if await self._spaces.finish(target):
            logger.info("Searches now use %s (%s).", space.space.model, space.space.provider)
        return filled

    def _within_rate(self, rows: list[Row]) -> list[Row]:
        """As many of these tools as the rate has room for."""
        room = self._rate.available()
        # Of a tool that is begun two texts are left.
        needed = accumulate(1 if row["text_hash"] is None else 2 for row in rows)
        return rows[: sum(texts <= room for texts in needed)]

    async def _fill_some(self, target: FillTarget, rows: Sequence[Row]) -> tuple[int, int]:
        """Embed as many of these tools as take a few seconds; returns of how many tools the first vectors are written,
        and of how many the last ones.
        """
        texts = {row["id"]: build_tool_texts(row["server_name"], stored_definition(row)) for row in rows}
        # What was made of other texts, such as when the server had another name, is made anew.
        begun = {row["id"] for row in rows if row["text_hash"] == texts[row["id"]].hash}
        wanted = [text.combined for tool_id, text in texts.items() if tool_id not in begun]
        wanted += [part for tool_id in begun for part in (texts[tool_id].name, texts[tool_id].description)]
        space_id = target.stored.id
        if target.proposes_categories and len(begun) < len(rows):
            self._rate.spend(await self._categories.prepare(space_id, target.embed_each))
        embedded = await embed_texts(target.embed_each, wanted, time.monotonic() + _BATCH_SECONDS)
        if not target.is_standby:
            self._rate.spend(len(embedded.vectors) + len(embedded.refused))
        for reason in sorted(set(embedded.refused.values())):
            logger.warning("Texts of tools cannot be embedded and are found by words alone: %s", reason)
        by_tenant: dict[int, list[Row]] = {}
        for row in rows:
            by_tenant.setdefault(row["tenant_id"], []).append(row)
        stored = completed = 0
        for tenant_id, of_tenant in by_tenant.items():
            stored_of_tenant, completed_of_tenant = await self._store(
                target, tenant_id, of_tenant, texts, begun, embedded
            )
            stored += stored_of_tenant
            completed += completed_of_tenant
        if embedded.failure is not None:
            raise embedded.failure
        return stored, completed

    async def _store(
        self,
        target: FillTarget,
        tenant_id: int,
        rows: Sequence[Row],
        texts: Mapping[int, ToolTexts],
        begun: Collection[int],
        embedded: TextVectors,
    ) -> tuple[int, int]:
        space_id = target.stored.id
        async with self._database.tenant_transaction(tenant_id) as transaction:
            # A sync may have changed a tool while its former texts were embedded.
            unchanged = await transaction.fetch(
                "lock_unchanged_tools",
                tenant_id,
                [row["id"] for row in rows],
                [row["content_hash"] for row in rows],
                [row["override_version"] for row in rows],
            )
            kept = [row["id"] for row in unchanged]
            new = {tool_id: texts[tool_id] for tool_id in kept if tool_id not in begun}
            half_done = {tool_id: texts[tool_id] for tool_id in kept if tool_id in begun}
            stored = await store_vectors(transaction, tenant_id, space_id, new, embedded)
            completed = await complete_vectors(transaction, tenant_id, space_id, half_done, embedded)
            if stored or completed:
                await transaction.execute("bump_catalogue_version", tenant_id)
            if stored and target.proposes_categories:
                vectors = {tool_id: embedded.vectors.get(text.combined) for tool_id, text in new.items()}
                with_vector = {tool_id: vector for tool_id, vector in vectors.items() if vector is not None}
                await self._categories.write(transaction, tenant_id, space_id, with_vector)
        return stored, completed

    def _tell(self, message: str) -> None:
        said, at = self._told
        # How many seconds are left of something is no other trouble.
        if _NUMBERS.sub("", message) == _NUMBERS.sub("", said) and time.monotonic() - at < _REMIND_SECONDS:
            return
        self._told = (message, time.monotonic())
        logger.warning("Tools without vectors are found by words alone for the moment: %s", message)
