"""A client of the cluster that the run has."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.search.index.opensearch.client import OpenSearchClient
from gateway.settings import OpenSearchSettings


@pytest.fixture
async def client(opensearch: OpenSearchSettings) -> AsyncIterator[OpenSearchClient]:
    client = OpenSearchClient(opensearch)
    yield client
    await client.aclose()
