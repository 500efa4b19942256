"""Upstream servers whose tools a test chooses, and may change between two syncs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.server_record import ServerRecord
from gateway.catalog.sync.sync_result import SyncResult
from gateway.components import Components

SCRIPT = Path(__file__).parent / "listed_server.py"

Tool = dict[str, Any]


def tool(name: str, description: str = "", **parameters: str) -> Tool:
    """A tool as tools/list has it; `parameters` are descriptions by name."""
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    return {"name": name, "description": description, "inputSchema": {"type": "object", "properties": properties}}


@dataclass(frozen=True, slots=True)
class ListedServer:
    """One such server, in the catalogue of the default tenant."""

    parts: Components
    tenant_id: int
    id: int
    file: Path

    def lists(self, *tools: Any, **more: Any) -> None:
        """From now on it lists these."""
        self.file.write_text(json.dumps({"tools": tools, **more}), encoding="utf-8")

    async def sync(self) -> SyncResult:
        return await self.parts.sync.run(self.tenant_id, self.id)

    async def record(self) -> ServerRecord:
        return next(server for server in await self.parts.servers.list(self.tenant_id) if server.id == self.id)


def listed_command(file: Path) -> tuple[str, tuple[str, ...]]:
    """The command and arguments that serve the tools of `file`."""
    return sys.executable, ("-I", "-S", str(SCRIPT), str(file))


async def add_listed(parts: Components, folder: Path, *tools: Any, name: str = "Listed", **more: Any) -> ListedServer:
    """Add a server that lists `tools`, and sync it."""
    tenant = await tenant_by_slug(parts.database)
    file = folder / f"{name.encode().hex()}.json"
    command, args = listed_command(file)
    server_id = await parts.servers.add(tenant.id, ServerDefinition(name, "stdio", command=command, args=args))
    server = ListedServer(parts, tenant.id, server_id, file)
    server.lists(*tools, **more)
    await server.sync()
    return server
