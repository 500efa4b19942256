"""What every test shares: one PostgreSQL for the run, a database, parts and a gateway for each test that asks."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.admin.accounts.password import PasswordHasher
from gateway.components import Components, open_components
from gateway.database import connection, pool
from gateway.downstream.protocol.sessions import session_requests
from gateway.downstream.protocol.sessions.remote import remote_requests
from gateway.embedding.local.builtin import BuiltinEmbedder
from gateway.settings import OpenSearchSettings, Settings, load_settings
from tests.opensearch.node import remove_indexes, shared_node
from tests.opensearch.skipping import skipping_without_node
from tests.support.cluster import Cluster, cluster_folder
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.held_connections import refuse_requests_on_held_connections
from tests.support.shared_model import shared_builtin_model


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def cluster(testrun_uid: str) -> Iterator[Cluster]:
    """The PostgreSQL of this run, shared by its workers.

    Not below pytest's own folders: each run of pytest closes those to other users, and PostgreSQL runs as another one
    where the tests run as root.
    """
    started = Cluster(cluster_folder() / f"modelgate-tests-{testrun_uid}")
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def no_request_on_a_held_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the network holds no connection of the database pool."""
    refuse_requests_on_held_connections(monkeypatch)


@pytest.fixture(autouse=True)
def shared_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways of one process share the builtin model, which is the larger part of starting one."""
    monkeypatch.setattr(BuiltinEmbedder.__init__, "__defaults__", (shared_builtin_model, ""))


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed with as little work as there can be: nobody guesses those of tests."""
    monkeypatch.setattr(PasswordHasher.__init__, "__defaults__", (1, 8))


@pytest.fixture(autouse=True)
def patient_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup has more than its second, which may be over on a machine with much to do. What is about a database that
    does not answer overrides this.
    """
    monkeypatch.setattr(connection, "_STATEMENT_LIMITS", {**connection._STATEMENT_LIMITS, "lookup": {"timeout": 15.0}})
    monkeypatch.setattr(pool, "LOOKUP_SECONDS", 15.0)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer in a session is plain JSON however long it takes: 100 ms may be over on a machine with much to do."""
    for module in (session_requests, remote_requests):
        monkeypatch.setattr(module, "STREAM_AFTER_SECONDS", 10.0)


@pytest.fixture
async def database_url(cluster: Cluster) -> AsyncIterator[str]:
    """A migrated database that no other test sees."""
    name = await cluster.create()
    yield cluster.url(name)
    await cluster.drop(name)


@pytest.fixture(scope="session")
def opensearch_url(testrun_uid: str) -> Iterator[str]:
    """The node of OpenSearch of this run, or the cluster that TEST_OPENSEARCH_URL names."""
    if url := os.environ.get("TEST_OPENSEARCH_URL"):
        yield url
        return
    with skipping_without_node(), shared_node(testrun_uid) as node:
        yield node.url


@pytest.fixture
def opensearch(opensearch_url: str) -> Iterator[OpenSearchSettings]:
    """Settings by which a gateway has indexes of its own in that cluster."""
    prefix = f"test-{uuid.uuid4().hex}"
    yield OpenSearchSettings(urls=(opensearch_url,), index_prefix=prefix, replicas=0, timeout_ms=20_000)
    remove_indexes(opensearch_url, prefix)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a gateway with the builtin embedder on a database of its own."""
    environ = {
        "MODELGATE_DATABASE_URL": database_url,
        "MODELGATE_DATABASE_POOL_SIZE": "4",
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(tmp_path / "data"),
    }
    loaded = load_settings(environ=environ)
    return replace(loaded, server=replace(loaded.server, port=0))


@pytest.fixture
async def parts(settings: Settings) -> AsyncIterator[Components]:
    """The working parts of a gateway that is not served."""
    async with open_components(settings) as opened:
        yield opened


@pytest.fixture
async def gateway(parts: Components) -> AsyncIterator[RunningGateway]:
    """A gateway on a real port, without upstream servers."""
    async with running_gateway(parts) as running:
        yield running
