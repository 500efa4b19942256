"""Commands that work with the gateway's parts, opened for as long as they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from gateway.access.tenants import Tenant, tenant_by_slug
from gateway.app import Components, open_components
from gateway.catalog.server import ServerRecord
from gateway.cli.command import CONNECTIONS, run, settings_of

ResultT = TypeVar("ResultT")


def with_parts(
    context: click.Context, tenant: str, work: Callable[[Components, Tenant], Awaitable[ResultT]]
) -> ResultT:
    """Run `work` with the parts and the tenant of that slug."""
    settings = settings_of(context, log_level="warning")

    async def opened() -> ResultT:
        async with open_components(settings, connections=CONNECTIONS) as parts:
            return await work(parts, await tenant_by_slug(parts.database, tenant))

    return run(opened)


def at_server(
    context: click.Context, tenant: str, name: str, work: Callable[[Components, ServerRecord], Awaitable[ResultT]]
) -> ResultT:
    """Run `work` with the parts and the server of that name or slug."""

    async def found(parts: Components, owner: Tenant) -> ResultT:
        return await work(parts, await parts.servers.named(owner.id, name))

    return with_parts(context, tenant, found)
