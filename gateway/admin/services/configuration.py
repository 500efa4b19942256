"""A tenant's configuration as one document, taken out and put in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from gateway.admin.accounts.principal import Principal
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.servers.server_input import authorize_stdio
from gateway.catalog.configuration.apply import ConfigurationUpdate
from gateway.catalog.configuration.change import ApplyOptions, ConfigurationChange
from gateway.catalog.configuration.document import format_configuration, parse_configuration
from gateway.catalog.configuration.export import export_configuration
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.servers.server import Servers
from gateway.database.pool import Database
from gateway.errors import InvalidInputError
from gateway.guards.configured_guards import ConfiguredGuards
from gateway.settings import AdminSettings
from gateway.upstream.pool import UpstreamPool


@dataclass(frozen=True, slots=True)
class ConfigurationInput:
    """A document as it is given out, in YAML. `values` are for `${NAME}` in it: secrets of servers and guards, which
    otherwise are as they are stored, or lacking. With `prune` what is not in a section of the document is removed; a
    `dry_run` does nothing.
    """

    document: Annotated[str, Field(max_length=4 * 1024 * 1024)]
    prune: bool = False
    dry_run: bool = False
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    __pydantic_config__ = FORBID_EXTRA


class ConfigurationService:
    """Servers, roles, rules, profiles, guards and more of a tenant, as one document."""

    def __init__(
        self,
        database: Database,
        servers: Servers,
        pool: UpstreamPool,
        overrides: ToolOverrides,
        guards: ConfiguredGuards,
        settings: AdminSettings,
    ) -> None:
        self._database = database
        self._servers = servers
        self._pool = pool
        self._overrides = overrides
        self._guards = guards
        self._settings = settings

    async def export(self, tenant_id: int) -> str:
        """The document, in YAML, without secrets."""
        return format_configuration(await export_configuration(self._database, self._servers, self._guards, tenant_id))

    async def apply(
        self, tenant_id: int, given: ConfigurationInput, principal: Principal
    ) -> tuple[ConfigurationChange, ...]:
        """What was done, or with a dry run would be.

        Raises InvalidInputError for a document that is none, and ForbiddenError for a command that may not be added.
        """
        try:
            configuration = parse_configuration(given.document)
        except InvalidInputError as error:
            raise InvalidInputError(error.message, "document") from None
        update = ConfigurationUpdate(
            self._database,
            self._servers,
            self._overrides,
            self._guards,
            tenant_id,
            ApplyOptions(given.values, given.prune, given.dry_run),
            lambda server: authorize_stdio(server, principal, self._settings),
            self._pool.close_server,
        )
        return await update.apply(configuration)
