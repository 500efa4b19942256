"""Running a command's work with the gateway's components, which are open for as long as it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant, tenant_by_slug
from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.runner import POOL_SIZE, ResultT, load_command_settings, run_async

if TYPE_CHECKING:
    from gateway.components import Components


def run_with_components(
    context: click.Context, tenant: str, work: Callable[[Components, Tenant], Awaitable[ResultT]]
) -> ResultT:
    """Run `work` with the components and the tenant of that slug. Raises NotFoundError where there is none."""
    # They take a second to import, and a command that only explains itself needs none of them.
    from gateway.components import open_components

    settings = load_command_settings(context, log_level="warning")

    async def open_and_work() -> ResultT:
        async with open_components(settings, connections=POOL_SIZE) as components:
            return await work(components, await tenant_by_slug(components.database, tenant))

    return run_async(open_and_work)


def run_with_server(
    context: click.Context, tenant: str, name: str, work: Callable[[Components, ServerRecord], Awaitable[ResultT]]
) -> ResultT:
    """Run `work` with the components and the server of that name or slug. Raises NotFoundError where there is none."""

    async def find_and_work(components: Components, owner: Tenant) -> ResultT:
        return await work(components, await components.servers.get_by_name(owner.id, name))

    return run_with_components(context, tenant, find_and_work)
