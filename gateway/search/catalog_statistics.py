"""What a search has to know of the catalogue beforehand, kept until the catalogue changes."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

import numpy as np
from cachetools import LRUCache

from gateway.catalog.category import split_words
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.embedding.spaces import Spaces, StoredSpace
from gateway.errors import DatabaseError, EmbeddingError
from gateway.search.calibration import Calibration, calibrate
from gateway.search.visible_tools import VisibleTools

logger = logging.getLogger(__name__)

# Comparing so few tools one by one is faster than walking an index and asking a bitmap.
_EXACT_TOOLS = 4_000
_SAMPLE = 500
_QUERY_SAMPLE = 100
_PATIENCE_SECONDS = 1.0
# How long a calibration is trusted while no notices come in: it is too costly to be made for every search.
_UNNOTIFIED_SECONDS = 1.0
_MAXIMUM = 1_000


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """A calibration, and when it was made, in seconds of the monotonic clock."""

    calibration: Calibration
    at: float


@dataclass(frozen=True, slots=True)
class LexicalStatistics:
    """A tenant's catalogue as BM25 sees it: the number of tools and their mean length in lexemes."""

    tool_count: int
    mean_length: float


class CatalogStatistics:
    """Numbers about catalogues and about what roles see of them, each valid for one version of a catalogue."""

    def __init__(
        self, database: Database, spaces: Spaces, notices: Notices | None, *, exact_tools: int = _EXACT_TOOLS
    ) -> None:
        """Nothing is kept without `notices`. Roles that see more than `exact_tools` tools are given no ids of them."""
        self._database = database
        self._spaces = spaces
        self._exact_tools = exact_tools
        self._lexical: NotifiedCache[None, LexicalStatistics] = NotifiedCache(notices)
        self._visible: NotifiedCache[tuple[int, ...], VisibleTools] = NotifiedCache(notices, _MAXIMUM)
        self._calibrations: NotifiedCache[int, Calibration] = NotifiedCache(notices)
        self._latest: LRUCache[tuple[int, int], _Calibrated] = LRUCache(_MAXIMUM)
        self._calibrating: dict[tuple[int, int], asyncio.Task[None]] = {}

    async def lexical(self, tenant_id: int) -> LexicalStatistics:
        """What BM25 has to know of the tenant's catalogue."""

        async def read() -> LexicalStatistics:
            row = await self._database.fetchrow("lexical_statistics", tenant_id)
            assert row is not None
            return LexicalStatistics(row["tools"], row["mean_length"])

        return await self._lexical.get(tenant_id, None, read)

    async def visible_tools(self, tenant_id: int, role_ids: tuple[int, ...]) -> VisibleTools:
        """The tools that these roles can find."""

        async def read() -> VisibleTools:
            row = await self._database.fetchrow("visible_tool_positions", tenant_id, list(role_ids))
            assert row is not None
            return VisibleTools.of(row["ids"], row["positions"], self._exact_tools)

        return await self._visible.get(tenant_id, role_ids, read)

    async def calibration(self, tenant_id: int, stored: StoredSpace) -> Calibration:
        """How cosines of a space are scored in this tenant.

        It is worked out beside the searches: one is at most held up for a moment, and goes on with the former
        calibration, or an assumed one.
        """
        current = self._calibrations.peek(tenant_id, stored.id)
        if current is not None:
            return current
        key = (tenant_id, stored.id)
        latest = self._latest.get(key)
        if latest is None or self._calibrations.is_trusted or time.monotonic() - latest.at > _UNNOTIFIED_SECONDS:
            task = self._calibrating.get(key)
            if task is None:
                task = self._calibrating[key] = asyncio.create_task(self._calibrate(key, stored))
                task.add_done_callback(lambda _: self._calibrating.pop(key, None))
            if latest is None:
                await asyncio.wait([task], timeout=_PATIENCE_SECONDS)
                latest = self._latest.get(key)
        return Calibration() if latest is None else latest.calibration

    async def aclose(self) -> None:
        """Wait for calibrations under way."""
        await asyncio.gather(*self._calibrating.values(), return_exceptions=True)

    async def _calibrate(self, key: tuple[int, int], stored: StoredSpace) -> None:
        tenant_id, space_id = key
        try:
            calibration = await self._calibrations.get(
                tenant_id, space_id, lambda: self._read_calibration(tenant_id, stored)
            )
        except (DatabaseError, EmbeddingError, ValueError) as error:
            logger.info("The calibration stays as it was for the moment: %s", error)
        else:
            self._latest[key] = _Calibrated(calibration, time.monotonic())

    async def _read_calibration(self, tenant_id: int, stored: StoredSpace) -> Calibration:
        # A model that embeds questions otherwise than documents is asked for its questions, which takes time.
        asks = stored.space.query_prefix != stored.space.document_prefix
        rows = await self._database.fetch(
            "sampled_embeddings", tenant_id, stored.id, _QUERY_SAMPLE if asks else _SAMPLE
        )
        arrays = [
            np.array([row[column].to_numpy() for row in rows], dtype=np.float32).reshape(
                len(rows), stored.space.dimensions
            )
            for column in ("name_embedding", "description_embedding", "combined_embedding")
        ]
        if asks and rows:
            names = [" ".join(split_words(row["name"])) or row["name"] for row in rows]
            arrays.append(np.array([(await self._spaces.embed_query(name)).vector for name in names]))
        return await asyncio.to_thread(calibrate, *arrays)
