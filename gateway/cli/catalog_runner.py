"""Running a command's work with the database and the servers alone, for commands that connect to no server and search
nothing: the components take many times as long to import and open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant, tenant_by_slug
from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.runner import ResultT, load_command_settings, run_with_database
from gateway.database.pool import Database

if TYPE_CHECKING:
    from gateway.catalog.servers.server import Servers
    from gateway.vault import Vault


@dataclass(frozen=True, slots=True)
class CatalogParts:
    """What such a command works with."""

    database: Database
    servers: Servers
    vault: Vault


def run_with_catalog(
    context: click.Context, tenant: str, work: Callable[[CatalogParts, Tenant], Awaitable[ResultT]]
) -> ResultT:
    """Run `work` with database, servers and the tenant of that slug. Raises NotFoundError where there is none."""
    from gateway.catalog.secrets.sealed_texts import SealedTexts
    from gateway.catalog.servers.server import Servers
    from gateway.upstream.policy import policy_from_settings
    from gateway.vault import Vault, open_keys

    settings = load_command_settings(context, log_level="warning")

    async def open_and_work(database: Database) -> ResultT:
        keys = open_keys(settings.server.encryption_key, settings.server.former_encryption_key, settings.data_dir)
        vault = Vault(keys)
        await SealedTexts(database, vault).adopt_from_0_1()
        servers = Servers(database, vault, settings.upstream, policy=policy_from_settings(settings.guards))
        try:
            return await work(CatalogParts(database, servers, vault), await tenant_by_slug(database, tenant))
        finally:
            await servers.aclose()

    return run_with_database(context, open_and_work)


def run_with_catalog_server(
    context: click.Context, tenant: str, name: str, work: Callable[[CatalogParts, ServerRecord], Awaitable[ResultT]]
) -> ResultT:
    """Run `work` with these and the server of that name or slug. Raises NotFoundError where there is none."""

    async def find_and_work(parts: CatalogParts, owner: Tenant) -> ResultT:
        return await work(parts, await parts.servers.get_by_name(owner.id, name))

    return run_with_catalog(context, tenant, find_and_work)
