"""Replicas of the database: read from where they have the latest change, and passed over where they do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from gateway.components import open_components
from gateway.settings import Settings
from tests.support.cluster import Cluster
from tests.support.gateway import add_local_mcp, running_gateway
from tests.support.rows import value

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
