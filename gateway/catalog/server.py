"""The upstream servers of a tenant, as the catalogue keeps them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from gateway.access.roles import publish
from gateway.catalog.naming import slug_of
from gateway.database.kept import Kept
from gateway.database.notices import Notices
from gateway.database.pool import Database, Row
from gateway.errors import ConflictError, InvalidInputError, NotFoundError
from gateway.settings import UpstreamSettings
from gateway.upstream.credentials import Vault
from gateway.upstream.spec import ServerSpec

Transport = Literal["stdio", "http", "sse"]

_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class NewServer:
    """A server to be added: a command for stdio, else a URL. `env` and `headers` may hold secrets."""

    name: str
    transport: Transport
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    description: str = ""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server with the state of its last sync; without its secrets."""

    id: int
    tenant_id: int
    name: str
    slug: str
    description: str
    transport: Transport
    command: str | None
    args: tuple[str, ...]
    url: str | None
    enabled: bool
    tool_count: int
    version: int | None
    synced_at: datetime | None
    sync_error: str | None
    sync_failed_at: datetime | None
    skipped_tools: tuple[Mapping[str, str], ...]
    protocol_version: str | None

    @property
    def state(self) -> str:
        """One or two words for a list."""
        if not self.enabled:
            return "disabled"
        if self.sync_error is not None:
            return "failing"
        return "synced" if self.synced_at is not None else "never synced"


class Servers:
    """Adds, reads and removes the servers of tenants."""

    def __init__(
        self, database: Database, vault: Vault, limits: UpstreamSettings, notices: Notices | None = None
    ) -> None:
        self._database = database
        self._specs: Kept[int, ServerSpec] = Kept(notices)
        self._vault = vault
        self._limits = limits

    async def add(self, tenant_id: int, server: NewServer) -> int:
        """Add a server and return its id.

        Raises InvalidInputError for a server that cannot be, ConflictError when the name is taken.
        """
        _check(server)
        secrets = {"env": dict(server.env), "headers": dict(server.headers)}
        slug = await self._free_slug(tenant_id, server.name)
        try:
            server_id: int = await self._database.fetchval(
                "insert_server",
                tenant_id,
                server.name,
                slug,
                server.description,
                server.transport,
                server.command,
                list(server.args),
                server.cwd,
                server.url,
                self._vault.seal(secrets, _owner(tenant_id, slug)),
                {},
            )
        except ConflictError:
            raise ConflictError(
                f"There is a server named {server.name!r} already; choose another name or remove that one first."
            ) from None
        return server_id

    async def list(self, tenant_id: int) -> list[ServerRecord]:
        """All servers by name."""
        return [_record(row) for row in await self._database.fetch("list_servers", tenant_id)]

    async def named(self, tenant_id: int, name: str) -> ServerRecord:
        """The server with this name or slug. Raises NotFoundError and names those that are there."""
        servers = await self.list(tenant_id)
        for server in servers:
            if name in (server.name, server.slug):
                return server
        known = ", ".join(server.name for server in servers)
        raise NotFoundError(f"There is no server {name!r}; there are: {known or 'none'}.")

    async def remove(self, tenant_id: int, server_id: int) -> None:
        """Remove a server with its tools, vectors and rules. Raises NotFoundError."""
        async with self._database.transaction() as transaction:
            if not await transaction.execute("delete_server", tenant_id, server_id):
                raise NotFoundError(f"There is no server {server_id} in this tenant.")
            await publish(transaction, tenant_id, server_id=server_id)

    async def spec(self, tenant_id: int, server_id: int) -> ServerSpec:
        """What it takes to connect to a server, its secrets opened. Raises NotFoundError."""
        return await self._specs.get(tenant_id, server_id, lambda: self._read_spec(tenant_id, server_id))

    async def _read_spec(self, tenant_id: int, server_id: int) -> ServerSpec:
        row = await self._database.fetchrow("server_by_id", tenant_id, server_id)
        if row is None:
            raise NotFoundError(f"There is no server {server_id} in this tenant.")
        secrets: dict[str, Any] = {}
        if row["sealed_secrets"] is not None:
            secrets = self._vault.open(row["sealed_secrets"], _owner(tenant_id, row["slug"]))
        return ServerSpec(
            id=row["id"],
            tenant_id=row["tenant_id"],
            name=row["name"],
            slug=row["slug"],
            transport=row["transport"],
            command=row["command"],
            args=tuple(row["args"]),
            env=secrets.get("env", {}),
            cwd=row["cwd"],
            url=row["url"],
            headers=secrets.get("headers", {}),
            connect_timeout=row["limits"].get("connect_timeout_seconds", self._limits.connect_timeout_seconds),
            list_timeout=row["limits"].get("list_timeout_seconds", self._limits.list_timeout_seconds),
            call_timeout=row["limits"].get("call_timeout_seconds", self._limits.call_timeout_seconds),
            max_calls=row["limits"].get("max_calls_in_flight", self._limits.max_calls_in_flight),
            session=row["session"],
            idle_stop_seconds=row["idle_stop_seconds"],
        )

    async def _free_slug(self, tenant_id: int, name: str) -> str:
        taken = {server.slug for server in await self.list(tenant_id)}
        slug = slug_of(name)
        numbered, number = slug, 2
        while numbered in taken:
            numbered, number = f"{slug}_{number}", number + 1
        return numbered


def _check(server: NewServer) -> None:
    if not server.name.strip() or len(server.name) > _NAME_LENGTH or not server.name.isprintable():
        raise InvalidInputError(
            f"The server name {server.name[:_NAME_LENGTH]!r} has to be 1 to {_NAME_LENGTH} printable characters."
        )
    if "/" in server.name:
        raise InvalidInputError(f"The server name {server.name!r} may not hold a slash; it separates server and tool.")
    if server.transport == "stdio":
        if not server.command:
            raise InvalidInputError(f"The stdio server {server.name!r} needs a command.")
        return
    parts = urlsplit(server.url or "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"The URL of {server.name!r} has to begin with http:// or https:// and name a host.")
    for header in server.headers:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", header):
            raise InvalidInputError(f"{header!r} is not the name of an HTTP header.")


def _owner(tenant_id: int, slug: str) -> str:
    return f"server {slug} of tenant {tenant_id}"


def _record(row: Row) -> ServerRecord:
    kept = {name: row[name] for name in ServerRecord.__dataclass_fields__}
    return ServerRecord(**{**kept, "args": tuple(row["args"]), "skipped_tools": tuple(row["skipped_tools"])})
