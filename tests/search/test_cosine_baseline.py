"""What everyday requests find is measured by one process, and known to those that start after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.embedding.embedder import Vectors
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.search import cosine_baseline
from gateway.search.cosine_baseline import PATIENCE_SECONDS, CosineBaselines
from gateway.search.ranking import ASSUMED_BASELINE, CosineBaseline
from gateway.settings import Settings
from tests.support.catalogue import direct_connection
from tests.support.indexed_catalogue import DIMENSIONS, TENANT, FixedSpaces, IndexedCatalogue, indexed_catalogue
from tests.support.waiting import until


class CountingSpaces(FixedSpaces):
    """Counts how often requests are embedded."""

    embedded = 0

    async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
        self.embedded += 1
        return await super().embed_queries_in(stored, texts)


class SlowSpaces(FixedSpaces):
    """Takes longer to embed requests than a search of the gateway waits."""

    async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
        await asyncio.sleep(PATIENCE_SECONDS + 0.2)
        return await super().embed_queries_in(stored, texts)


class Process:
    """What a process of the gateway, that has just started, knows of baselines."""

    def __init__(self, catalogue: IndexedCatalogue) -> None:
        self._space = catalogue.space
        self._spaces = CountingSpaces(catalogue.space, SpaceStore(catalogue.database))
        self._baselines = CosineBaselines(catalogue.database, self._spaces)

    @property
    def has_measured(self) -> bool:
        return self._spaces.embedded > 0

    async def baseline(self, vectors: int = 100) -> CosineBaseline:
        """That of a catalogue with so many vectors, as soon as it is known."""
        found = ASSUMED_BASELINE

        async def is_known() -> bool:
            nonlocal found
            found = await self._baselines.baseline(TENANT, self._space, vectors, _sample)
            return found != ASSUMED_BASELINE

        await until(is_known)
        await self._baselines.aclose()
        return found


@pytest.fixture
async def catalogue(settings: Settings) -> AsyncIterator[IndexedCatalogue]:
    async with indexed_catalogue(settings) as opened:
        yield opened


async def test_a_process_that_starts_knows_what_another_has_measured(catalogue: IndexedCatalogue) -> None:
    first, second = Process(catalogue), Process(catalogue)
    measured = await first.baseline()
    assert first.has_measured
    assert await second.baseline(105) == measured
    assert not second.has_measured


async def test_what_was_measured_over_another_catalogue_is_measured_anew(catalogue: IndexedCatalogue) -> None:
    await Process(catalogue).baseline(100)
    grown, next_one = Process(catalogue), Process(catalogue)
    await grown.baseline(200)
    assert grown.has_measured
    await next_one.baseline(200)
    assert not next_one.has_measured


async def test_what_was_measured_long_ago_is_measured_anew(catalogue: IndexedCatalogue) -> None:
    await Process(catalogue).baseline()
    async with direct_connection(catalogue.database) as connection:
        await connection.execute("UPDATE cosine_baselines SET measured_at = now() - interval '2 days'")
    later = Process(catalogue)
    await later.baseline()
    assert later.has_measured


async def test_a_version_with_other_requests_measures_anew(
    catalogue: IndexedCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Process(catalogue).baseline()
    monkeypatch.setattr(cosine_baseline, "everyday_requests", lambda: ("another request",))
    upgraded = Process(catalogue)
    await upgraded.baseline()
    assert upgraded.has_measured


async def test_what_is_measured_in_a_space_that_has_gone_is_known_until_then(catalogue: IndexedCatalogue) -> None:
    gone = replace(catalogue, space=replace(catalogue.space, id=catalogue.space.id + 1))
    await Process(gone).baseline()


async def test_a_command_waits_for_it_however_long_that_takes(catalogue: IndexedCatalogue) -> None:
    spaces = SlowSpaces(catalogue.space, SpaceStore(catalogue.database))
    baselines = CosineBaselines(catalogue.database, spaces, patience_seconds=None)
    assert await baselines.baseline(TENANT, catalogue.space, 100, _sample) != ASSUMED_BASELINE
    await baselines.aclose()


async def _sample() -> NDArray[np.float32]:
    return np.eye(DIMENSIONS, dtype=np.float32)
