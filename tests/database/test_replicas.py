"""Replicas of the database: read from where they have the latest change, and passed over where they do not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest

from gateway.components import open_components
from gateway.database import replicas
from gateway.database.pool import Database, open_database
from gateway.settings import Settings
from tests.support.cluster import Cluster
from tests.support.database_proxy import DatabaseProxy
from tests.support.gateway import add_local_mcp, running_gateway
from tests.support.rows import value
from tests.support.waiting import until

NOBODY = "postgresql://nobody@127.0.0.1:1/none"


def describe(text: str) -> str:
    """The statement that has every tool say so."""
    value = f"jsonb_set(definition::jsonb, '{{description}}', '\"{text}\"')"
    return f"UPDATE tools SET definition = {value}::json RETURNING id"


async def test_indexes_and_lists_come_from_a_replica_that_has_the_latest_change(
    settings: Settings, cluster: Cluster, tmp_path: Path
) -> None:
    async with open_components(settings) as parts:
        await add_local_mcp(parts, tmp_path)
    name = urlsplit(settings.database.url).path[1:]
    copied = await cluster.create()
    copy = cluster.url(copied)
    connection = await asyncpg.connect(cluster.url("postgres"))
    try:
        await connection.execute(f'DROP DATABASE "{copied}"')
        await connection.execute(f'CREATE DATABASE "{copied}" TEMPLATE "{name}"')
    finally:
        await connection.close()
    try:
        await value(copy, describe("Told by the replica"))
        urls = (NOBODY, copy)
        replicated = replace(settings, database=replace(settings.database, replica_urls=urls))
        async with open_components(replicated) as parts, running_gateway(parts) as gateway:
            found = await gateway.call("tool_search", {"query": "calculator", "detail": "brief"})
            assert "Told by the replica" in found["content"][0]["text"]
            reads = parts.database.replicas.reads
            assert reads["replica"] >= 1
            await gateway.request("tools/list")
            assert reads["failed"] >= 1
            # The replica has not seen this change.
            await value(settings.database.url, describe("Told by itself"))
            await value(
                settings.database.url, "UPDATE tenants SET catalogue_version = catalogue_version + 1 RETURNING id"
            )
        async with open_components(replicated) as parts, running_gateway(parts) as gateway:
            found = await gateway.call("tool_search", {"query": "calculator", "detail": "brief"})
            assert "Told by itself" in found["content"][0]["text"]
            assert parts.database.replicas.reads["behind"] >= 1
    finally:
        await cluster.drop(copied)


async def is_read(database: Database) -> bool:
    """Whether a replica was read from."""
    async with database.replica_snapshot(1) as snapshot:
        return snapshot is not None


async def how_many_are_read(database: Database, count: int) -> int:
    """Of so many at the same time."""
    return sum(await asyncio.gather(*(is_read(database) for _ in range(count))))


class TestFrozen:
    """With lookups that take as long as the gateway gives them."""

    @pytest.fixture(autouse=True)
    def patient_lookups(self) -> None:
        pass

    async def test_one_that_freezes_costs_a_second_and_one_alone_finds_out_whether_it_answers_again(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = DatabaseProxy(settings.database.url)
        async with proxy.running():
            replicated = replace(settings, database=replace(settings.database, replica_urls=(proxy.url,)))
            async with open_database(replicated) as database:
                reads = database.replicas.reads
                # Each leaves an idle connection behind.
                assert await how_many_are_read(database, 3) == 3
                proxy.stall()
                # Half of what a statement may take.
                with anyio.fail_after(5):
                    assert await how_many_are_read(database, 3) == 0
                    failed = reads["failed"]
                    assert 1 <= failed <= 3
                    assert await how_many_are_read(database, 3) == 0
                assert reads["failed"] == failed
                monkeypatch.setattr(replicas, "time", _Later(replicas._RETRY_SECONDS))
                with anyio.fail_after(5):
                    assert await how_many_are_read(database, 3) == 0
                assert reads["failed"] == failed + 1
                proxy.resume()
                monkeypatch.setattr(replicas, "time", _Later(2 * replicas._RETRY_SECONDS))
                await until(lambda: is_read(database))


class _Later:
    """The clock, so many seconds on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._seconds
