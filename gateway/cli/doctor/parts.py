"""The gateway's own parts: database, embedder, servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.doctor.check_result import CheckResult
from gateway.database.pool import Database
from gateway.database.requirements import location_of
from gateway.embedding.embedder import Embedder, EmbedderHealth
from gateway.errors import EmbeddingError

if TYPE_CHECKING:
    from gateway.search.index.opensearch.index_overview import ClusterView


async def check_database(database: Database, *, embedded: bool) -> CheckResult:
    """What database is in use; that it is open says that version, pgvector and schema are right."""
    row = await database.fetchrow("server_version")
    assert row is not None
    place = "the embedded one" if embedded else f"at {location_of(database.url)}"
    version = f"PostgreSQL {row['postgresql'] // 10_000} with pgvector {row['pgvector']}"
    return CheckResult("database", "ok", f"{version}, {place}; the schema is up to date.")


async def check_embedder(embedder: Embedder) -> CheckResult:
    """Whether the embedder answers, and with vectors."""
    health = await embedder.check_health()
    if health.ok:
        try:
            await embedder.space()
        except EmbeddingError as error:
            health = EmbedderHealth.from_error(error, health.model)
    if health.ok:
        return CheckResult("embedder", "ok", health.detail or f"{health.model} answers.")
    return CheckResult("embedder", "problem", health.detail, health.next_step, "embedder-unavailable")


def check_search_cluster(view: ClusterView) -> CheckResult:
    """Whether the cluster answers that searches run in, and follows the catalogue."""
    part = "search cluster"
    if view.failure:
        return CheckResult(part, "problem", view.failure, "PostgreSQL answers meanwhile.", view.failure_code)
    place = f"OpenSearch {view.version} at {', '.join(view.urls)}"
    lost = [index.name for index in view.indexes if index.health == "red"]
    if lost:
        step = "See GET /_cluster/allocation/explain there; modelgate index rebuild makes a new index."
        return CheckResult(
            part, "problem", f"{place}: {', '.join(lost)} has lost shards.", step, "opensearch-incomplete"
        )
    unknown = next((index for index in view.indexes if index.failure), None)
    if unknown is not None:
        step = "modelgate index rebuild makes a new index."
        return CheckResult(part, "problem", f"{place}: {unknown.name}: {unknown.failure}", step, "opensearch")
    if view.feed is not None and not view.feed.silent and view.feed.failure:
        return CheckResult(
            part, "problem", f"{place} does not follow the catalogue: {view.feed.failure}", "", "opensearch"
        )
    serving = [index for index in view.indexes if index.state == "serving"]
    if not serving:
        return CheckResult(part, "warning", f"{place}: there is no index yet.", "A gateway that runs builds it.")
    documents = f"{serving[0].documents} of {serving[0].tools} tools are there"
    if view.feed is None or view.feed.silent:
        return CheckResult(part, "warning", f"{place}: {documents}, and nobody writes.", "modelgate serve does.")
    return CheckResult(part, "ok", f"{place}: {documents}.")


def check_servers(servers: Sequence[ServerRecord]) -> Iterator[CheckResult]:
    """The last error of each server in use."""
    if not servers:
        yield CheckResult("servers", "warning", "There are none yet.", "Add one with modelgate servers add.")
    for server in servers:
        part = f"server {server.name}"
        error = server.sync_error or server.last_error
        if not server.enabled:
            yield CheckResult(part, "ok", "It is disabled.")
        elif error is not None:
            step = f"modelgate servers check {server.name!r} tries it, modelgate sync {server.name!r} syncs it anew."
            yield CheckResult(part, "problem", error, step, "server-unavailable")
        elif server.synced_at is None:
            yield CheckResult(part, "warning", "It was never synced.", f"Run modelgate sync {server.name!r}.")
        else:
            tools = "1 tool" if server.tool_count == 1 else f"{server.tool_count} tools"
            yield CheckResult(part, "ok", f"{tools}, synced {server.synced_at:%Y-%m-%d %H:%M} UTC.")


def commands_in_use(servers: Sequence[ServerRecord]) -> dict[str, list[str]]:
    """The programs of enabled servers, each with the names of the servers that it starts."""
    commands: dict[str, list[str]] = {}
    for server in servers:
        if server.enabled and server.command:
            name = Path(server.command).name if "/" not in server.command else server.command
            commands.setdefault(name, []).append(server.name)
    return commands
