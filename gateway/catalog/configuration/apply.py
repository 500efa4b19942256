"""A configuration made a tenant's own: what differs is changed, what is not in it stays unless it is pruned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from gateway.catalog.configuration.change import ApplyOptions, ChangeList, ConfigurationChange
from gateway.catalog.configuration.document import Configuration, GuardEntry
from gateway.catalog.configuration.example_update import ExampleUpdate
from gateway.catalog.configuration.role_update import RoleUpdate
from gateway.catalog.configuration.server_update import ServerUpdate
from gateway.catalog.configuration.tool_update import ToolUpdate
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.servers.server import Servers
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.database.pool import Database


class GuardUpdate(Protocol):
    """Makes guards a tenant's own. `planned` are roles and servers that a dry run would have added."""

    async def apply(
        self,
        tenant_id: int,
        entries: tuple[GuardEntry, ...],
        options: ApplyOptions,
        changes: ChangeList,
        planned: Collection[str],
    ) -> None: ...

    async def check(self, tenant_id: int, entries: tuple[GuardEntry, ...], options: ApplyOptions) -> None: ...


class ConfigurationUpdate:
    """Applies one document to one tenant; `authorize` and `on_server_change` are those of `ServerUpdate`."""

    def __init__(
        self,
        database: Database,
        servers: Servers,
        overrides: ToolOverrides,
        guards: GuardUpdate,
        tenant_id: int,
        options: ApplyOptions,
        authorize: Callable[[ServerDefinition], None] = lambda _server: None,
        on_server_change: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._overrides = overrides
        self._guards = guards
        self._tenant_id = tenant_id
        self._options = options
        self._changes = ChangeList()
        self._servers = ServerUpdate(servers, tenant_id, options, self._changes, authorize, on_server_change)

    async def apply(self, configuration: Configuration) -> tuple[ConfigurationChange, ...]:
        """Everything that was, or with a dry run would be, done. Applied once more, all is unchanged.

        Raises InvalidInputError and what `authorize` does, before anything is changed where a server or guard cannot
        be.
        """
        if configuration.guards is not None:
            await self._guards.check(self._tenant_id, configuration.guards, self._options)
        if configuration.servers is not None:
            await self._servers.apply(configuration.servers)
        planned_servers = {entry.name for entry in configuration.servers or ()}
        roles = RoleUpdate(self._database, self._tenant_id, self._options, self._changes, planned_servers)
        if configuration.roles is not None:
            await roles.apply_roles(configuration.roles)
        if configuration.profiles is not None:
            await roles.apply_profiles(configuration.profiles)
        if configuration.guards is not None:
            planned = planned_servers | {entry.name for entry in configuration.roles or ()}
            await self._guards.apply(self._tenant_id, configuration.guards, self._options, self._changes, planned)
        tools = ToolUpdate(self._database, self._overrides, self._tenant_id, self._options, self._changes)
        if configuration.overrides is not None:
            await tools.apply_overrides(configuration.overrides)
        if configuration.disabled_tools is not None:
            await tools.apply_disabled_tools(configuration.disabled_tools)
        if configuration.examples is not None:
            examples = ExampleUpdate(self._database, self._tenant_id, self._options, self._changes)
            await examples.apply(configuration.examples)
        return tuple(self._changes.changes)
