"""Servers that the registry lists: searched, looked at, added."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.admin.accounts.principal import Principal
from gateway.admin.services.servers.servers import ServerService
from gateway.catalog.registry.registry import Registry, RegistryEntry
from gateway.catalog.registry.server_json import DeclaredValue, RunBy, list_run_by, propose_server
from gateway.errors import InvalidInputError
from gateway.settings import RegistrySettings

_MAX_WORDS_LENGTH = 200


@dataclass(frozen=True, slots=True)
class RegistryServer:
    """A server as the registry has it, before it is added.

    `suggested_name` is what it would be called here, `target` the command line or the address, with defaults for what
    it asks for: `values`, each once. `run_by` is one of `all_run_by`.
    """

    listed: RegistryEntry
    suggested_name: str
    target: str
    values: tuple[DeclaredValue, ...]
    run_by: RunBy
    all_run_by: tuple[RunBy, ...]


class RegistryService:
    """The registry of registry.url."""

    def __init__(self, servers: ServerService, settings: RegistrySettings) -> None:
        self._servers = servers
        self._url = settings.url

    async def search(self, words: str) -> list[RegistryEntry]:
        """Servers whose names have `words` in them. Raises RegistryError."""
        return await Registry(self._url).search(words[:_MAX_WORDS_LENGTH])

    async def get(self, name: str, version: str, run_by: str = "") -> RegistryServer:
        """One version of a server, or the `latest`; without `run_by` as the registry's entry prefers.

        Raises NotFoundError, RegistryError, and InvalidInputError for one that cannot be run.
        """
        listed = await Registry(self._url).get(name, version or "latest")
        proposal = propose_server(listed, {}, remote=run_by == "remote")
        definition = proposal.definition
        command = shlex.join([definition.command, *definition.args]) if definition.command else None
        return RegistryServer(
            listed,
            definition.name,
            command or definition.url or "",
            tuple({value.name: value for value in proposal.declared}.values()),
            "package" if command else "remote",
            list_run_by(listed),
        )

    async def add(
        self, tenant_id: int, server: RegistryServer, name: str, values: Mapping[str, str], principal: Principal
    ) -> int:
        """Add a server under `name`, disabled until somebody has looked at it; its number.

        An empty one of `values` is none. Raises as ServerService.add.
        """
        given = {key: value for key, value in values.items() if value}
        missing = [
            value.name for value in server.values if value.is_required and not value.default and value.name not in given
        ]
        if missing:
            raise InvalidInputError(f"It needs a value for {', '.join(missing)}.")
        proposal = propose_server(server.listed, given, remote=server.run_by == "remote")
        definition = replace(proposal.definition, name=name.strip())
        return await self._servers.add_definition(tenant_id, definition, principal, enabled=False)
