"""Parts for tests of access: an open database without anything around it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.access.tenants import Tenant, tenant_by_slug
from gateway.database.pool import Database, open_database
from gateway.settings import Settings


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings, size=4) as opened:
        yield opened


@pytest.fixture
async def tenant(database: Database) -> Tenant:
    return await tenant_by_slug(database)
