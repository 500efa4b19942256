"""A server as lists show it: what it is, and how its last sync and its last health check went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.catalog.servers.tuning import Tuning, parse_tuning
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from gateway.catalog.servers.server_definition import TransportKind


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server with the state of its last sync and its last health check; without its secrets.

    `tools_lacking_vectors` counts tools of which a text has no vector: not yet, or because the embedder refuses it.
    `credential` names the kind of what the gateway is let in with, `personal` that of what each person is, None where
    all share the former; `health` is the state of `ServerStatus`, `startup_line` what the server wrote last where it
    was starting.
    """

    id: int
    tenant_id: int
    name: str
    slug: str
    description: str
    transport: TransportKind
    command: str | None
    args: tuple[str, ...]
    url: str | None
    enabled: bool
    tool_count: int
    tools_lacking_vectors: int
    version: int | None
    synced_at: datetime | None
    sync_error: str | None
    sync_failed_at: datetime | None
    skipped_tools: tuple[Mapping[str, str], ...]
    protocol_version: str | None
    credential: str
    personal: str | None
    health: str | None
    checked_at: datetime | None
    last_seen_at: datetime | None
    latency_ms: float | None
    restarts: int
    last_error: str | None
    startup_line: str | None
    tuning: Tuning

    @property
    def state(self) -> str:
        """One or two words for a list."""
        if not self.enabled:
            return "disabled"
        if self.sync_error is not None:
            return "failing"
        return "synced" if self.synced_at is not None else "never synced"


def read_server_record(row: Row) -> ServerRecord:
    """The record of a row of `list_servers`."""
    values = {name: row[name] for name in ServerRecord.__dataclass_fields__ if name != "tuning"}
    values |= {"args": tuple(row["args"]), "skipped_tools": tuple(row["skipped_tools"])}
    return ServerRecord(**values, tuning=parse_tuning(row))


async def list_server_records(database: Database, tenant_id: int) -> list[ServerRecord]:
    """All servers of a tenant by name."""
    return [read_server_record(row) for row in await database.fetch("list_servers", tenant_id, None)]


async def server_record_by_name(database: Database, tenant_id: int, name: str) -> ServerRecord:
    """The server with this name or slug. Raises NotFoundError and names those that are there."""
    servers = await list_server_records(database, tenant_id)
    for server in servers:
        if name in (server.name, server.slug):
            return server
    known = ", ".join(server.name for server in servers)
    raise NotFoundError(f"There is no server {name!r}; there are: {known or 'none'}.")
