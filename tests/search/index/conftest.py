"""A catalogue that both indexes can be built over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.settings import Settings
from tests.support.indexed_catalogue import IndexedCatalogue, indexed_catalogue


@pytest.fixture
async def catalogue(settings: Settings) -> AsyncIterator[IndexedCatalogue]:
    async with indexed_catalogue(settings) as opened:
        yield opened
