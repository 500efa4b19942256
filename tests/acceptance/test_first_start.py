"""Two gateways that start at once on a database in which there is nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest

from gateway.components import open_components
from gateway.database.migrate import migrations_folder, read_migrations
from gateway.settings import Settings
from tests.acceptance.test_rolling_restart import Replicas, replica_environment
from tests.support.cluster import Cluster
from tests.support.rows import rows, value
from tests.support.waiting import until


@pytest.fixture
async def settings(cluster: Cluster, settings: Settings) -> AsyncIterator[Settings]:
    name = f"empty_{uuid.uuid4().hex}"
    await rows(settings.database.url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield replace(settings, database=replace(settings.database, url=cluster.url(name)))
    await cluster.drop(name)


async def test_two_that_start_at_once_on_an_empty_database_make_all_of_it_once_and_share_it(settings: Settings) -> None:
    url = settings.database.url
    replicas = Replicas(replica_environment(settings), "")
    try:
        urls = await asyncio.gather(replicas.start(), replicas.start())
        applied = [row["name"] for row in await rows(url, "SELECT name FROM schema_migrations ORDER BY number")]
        assert applied == [each.name for each in read_migrations(migrations_folder())]
        for table, count in (("tenants", 1), ("roles", 1), ("installation", 1)):
            assert await value(url, f"SELECT count(*) FROM {table}") == count, table
        async with open_components(settings) as parts, httpx2.AsyncClient(timeout=30) as http:
            # With the one encryption key that was made, each takes the other for one of its cluster.
            key = (await parts.keys.create(1, "test", ["all"])).key
            for each in urls:
                ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
                assert (await http.post(f"{each}/mcp", json=ping, headers={"X-API-Key": key})).status_code == 200
            for each in urls:
                await until(lambda each=each: _sees_two(http, each))  # type: ignore[misc]
        for each in urls:
            await replicas.stop(each)
    finally:
        for process in replicas.running.values():
            process.kill()
            await process.wait()


async def _sees_two(http: httpx2.AsyncClient, url: str) -> bool:
    return "modelgate_cluster_members 2.0" in (await http.get(f"{url}/metrics")).text
