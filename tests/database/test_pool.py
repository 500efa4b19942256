"""The database that goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.components import open_components
from gateway.database.background import in_background
from gateway.database.pool import Database, open_database
from gateway.settings import DatabaseSettings, Settings
from tests.support.gateway import running_gateway
from tests.support.listed import add_listed, tool
from tests.support.postgres import Postgres
from tests.support.searching import SEARCH, search_status, searches
from tests.support.waiting import until


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of the tests' own."""
    server = Postgres(tmp_path_factory.mktemp("pg"))
    server.start()
    yield server
    server.stop("fast")


async def test_without_postgresql_requests_are_told_and_then_it_goes_on(
    settings: Settings, postgres: Postgres, tmp_path: Path
) -> None:
    own = replace(settings, database=DatabaseSettings(url=postgres.url, pool_size=4))
    async with open_components(own) as parts, running_gateway(parts) as gateway:
        await add_listed(parts, tmp_path, tool("calculator", "Perform mathematical calculations"))
        assert await searches(gateway)
        await asyncio.to_thread(postgres.stop)
        for _ in range(3):
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": SEARCH}
            response = await gateway.post(message)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert response.json()["error"]["message"] == "The database does not answer; try again in a moment."
        assert (await gateway.http.get("/health")).status_code == 200
        ready = await gateway.http.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["parts"]["database"]["ready"] is False
        many = await asyncio.gather(*(search_status(gateway) for _ in range(20)))
        assert set(many) == {503}
        await asyncio.to_thread(postgres.start)
        await until(lambda: searches(gateway))
        result = await gateway.call("tool_search", {"query": "calculate math expressions"})
        assert "listed__calculator" in result["content"][0]["text"]
        assert (await gateway.http.get("/ready")).status_code == 200


async def test_work_that_nobody_waits_for_leaves_half_of_the_connections_to_those_who_wait(settings: Settings) -> None:
    holding = 0
    is_over = asyncio.Event()

    async def hold(database: Database) -> None:
        nonlocal holding
        with in_background():
            async with database.connection():
                holding += 1
                # Who has one gets the next without waiting for its turn.
                assert await database.fetchval("catalogue_version", 1) is not None
                await is_over.wait()

    async with open_database(settings, size=6) as database:
        tasks = [asyncio.create_task(hold(database)) for _ in range(10)]
        await until(lambda: holding == 3)
        assert await asyncio.gather(*(database.fetchval("catalogue_version", 1) for _ in range(20)))
        assert holding == 3
        is_over.set()
        await asyncio.gather(*tasks)
        assert holding == 10
