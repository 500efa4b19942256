"""Two tenants on one database: the owner has one of everything, the stranger has nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from pgvector.asyncpg import register_vector

from gateway.database.pool import open_database
from gateway.settings import Settings
from tests.isolation.owner import Owned, fill


@pytest.fixture
async def owned(settings: Settings) -> AsyncIterator[Owned]:
    async with open_database(settings, size=2):
        connection = await asyncpg.connect(settings.database.url)
        try:
            await register_vector(connection)
            yield await fill(connection)
        finally:
            await connection.close()
