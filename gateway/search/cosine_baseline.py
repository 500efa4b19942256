"""What everyday requests find in a space: the measure by which the cosines of a query are read."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from gateway.database.pool import Database
from gateway.embedding.embedder import Vectors
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import ConflictError, DatabaseError, EmbeddingError
from gateway.search.ranking import ASSUMED_BASELINE, CosineBaseline

logger = logging.getLogger(__name__)

SAMPLE = 2_000
"""So many ranking vectors, spread over the catalogue, stand for all."""

# The baseline is measured again when the catalogue has grown or shrunk by this share.
_MEASURE_AFTER = 0.1
# A process that starts believes what another one measured for so long: the catalogue may be another one of that size.
_STORED_SECONDS = 86_400.0
PATIENCE_SECONDS = 1.0
"""So long a search waits for a baseline that is not known; later ones have it."""

_RETRY_SECONDS = 5.0
_MAX_KEPT = 1_000

ReadSample = Callable[[], Awaitable[NDArray[np.float32]]]
"""Reads ranking vectors of tools: float32 (n, d), at most `SAMPLE` of them."""


def everyday_requests() -> tuple[str, ...]:
    """Requests of all kinds that people make, one a line in the package: some have a tool anywhere, most have none."""
    text = (resources.files("gateway.search") / "everyday_requests.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if line)


def baseline_of(tools: NDArray[np.float32], requests: Vectors) -> CosineBaseline:
    """Mean and deviation of the cosines between `requests`, float32 (n, d), and ranking vectors of tools (m, d)."""
    if not len(tools) or not len(requests):
        return ASSUMED_BASELINE
    cosines = requests @ tools.T
    return CosineBaseline(float(cosines.mean()), max(float(cosines.std()), 1e-6))


def sample_step(vectors: int, most: int = SAMPLE) -> int:
    """Every so many vectors of a catalogue, in the order of positions, one is taken into a sample of `most`."""
    return max(1, -(-vectors // most))


@dataclass(slots=True)
class _Measured:
    """`is_looked_up`: what is stored of it was asked for."""

    baseline: CosineBaseline = ASSUMED_BASELINE
    vectors: int = 0
    is_looked_up: bool = False
    measuring: asyncio.Task[None] | None = None
    retry_at: float = 0.0

    def is_due(self, vectors: int) -> bool:
        """Whether it is to be learnt anew now."""
        return self.measuring is None and time.monotonic() >= self.retry_at and self.is_outdated(vectors)

    def is_outdated(self, vectors: int) -> bool:
        """Whether so much has changed since it was measured that it may be another one."""
        return abs(vectors - self.vectors) > _MEASURE_AFTER * self.vectors


class CosineBaselines:
    """The baselines of catalogues, by tenant and space: measured by one process, and stored for those that start."""

    def __init__(self, database: Database, spaces: Spaces, patience_seconds: float | None = PATIENCE_SECONDS) -> None:
        """Whoever asks waits for `patience_seconds` at most; None is for as long as it takes."""
        self._database = database
        self._spaces = spaces
        self._patience_seconds = patience_seconds
        self._measured: LRUCache[tuple[int, int], _Measured] = LRUCache(_MAX_KEPT)
        self._tasks: set[asyncio.Task[None]] = set()

    async def baseline(self, tenant_id: int, space: StoredSpace, vectors: int, sample: ReadSample) -> CosineBaseline:
        """That of a catalogue with so many `vectors`; what is assumed until everyday requests are embedded."""
        key = (tenant_id, space.id)
        measured = self._measured.get(key)
        if measured is None:
            measured = self._measured[key] = _Measured()
        if measured.is_due(vectors):
            measured.measuring = task = asyncio.create_task(self._learn(measured, key, space, vectors, sample))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), self._patience_seconds)
        return measured.baseline

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _learn(
        self, measured: _Measured, key: tuple[int, int], space: StoredSpace, vectors: int, sample: ReadSample
    ) -> None:
        try:
            if not measured.is_looked_up:
                await self._look_up(measured, key)
            if measured.is_outdated(vectors):
                requests = await self._spaces.embed_queries_in(space, everyday_requests())
                measured.baseline, measured.vectors = baseline_of(await sample(), requests), vectors
                await self._store(measured, key)
        except (DatabaseError, EmbeddingError) as error:
            measured.retry_at = time.monotonic() + _RETRY_SECONDS
            logger.info("What everyday requests find is not known for the moment: %s", error)
        finally:
            measured.measuring = None

    async def _look_up(self, measured: _Measured, key: tuple[int, int]) -> None:
        row = await self._database.fetchrow("stored_baseline", *key, _requests_hash(), _STORED_SECONDS)
        measured.is_looked_up = True
        if row is not None:
            measured.baseline = CosineBaseline(row["mean"], row["deviation"])
            measured.vectors = row["vectors"]

    async def _store(self, measured: _Measured, key: tuple[int, int]) -> None:
        values = (measured.vectors, measured.baseline.mean, measured.baseline.deviation)
        # Tenant or space may be gone by now.
        with contextlib.suppress(ConflictError):
            await self._database.execute("store_baseline", *key, _requests_hash(), *values)


def _requests_hash() -> bytes:
    return hashlib.sha256("\n".join(everyday_requests()).encode()).digest()
