"""`modelgate servers`: the upstream servers of a tenant."""

from __future__ import annotations

import click

from gateway.access.tenants import Tenant
from gateway.app import Components
from gateway.catalog.server import ServerRecord
from gateway.cli.access.tenants import tenant_option
from gateway.cli.command import plain, table
from gateway.cli.context import at_server, with_parts
from gateway.cli.servers.add import add, import_servers
from gateway.cli.servers.set import set_server
from gateway.cli.servers.show import check, health_of, login, show


@click.group()
def servers() -> None:
    """Add, list, change and remove upstream servers."""


for command in (add, import_servers, show, set_server, check, login):
    servers.add_command(command)


@servers.command("list")
@tenant_option
@click.pass_context
def list_servers(context: click.Context, tenant: str) -> None:
    """List all servers with the state of their last sync."""

    async def work(parts: Components, owner: Tenant) -> list[ServerRecord]:
        return await parts.servers.list(owner.id)

    found = with_parts(context, tenant, work)
    if not found:
        click.echo("There are no servers yet; add one with modelgate servers add.")
        return
    table(
        ["NAME", "TRANSPORT", "TOOLS", "STATE", "LAST SYNC", "HEALTH"],
        [
            [
                plain(server.name),
                server.transport,
                str(server.tool_count),
                server.state,
                "never" if server.synced_at is None else f"{server.synced_at:%Y-%m-%d %H:%M}",
                health_of(server),
            ]
            for server in found
        ],
    )
    for server in found:
        if server.sync_error is not None:
            click.echo(f"{plain(server.name)}: {plain(server.sync_error)}")
        for skipped in server.skipped_tools:
            click.echo(f"{plain(server.name)}: tool {plain(skipped['name'])} is left out: {plain(skipped['reason'])}")


@servers.command("remove")
@click.argument("name")
@tenant_option
@click.pass_context
def remove(context: click.Context, name: str, tenant: str) -> None:
    """Remove a server with its tools and the rules about them."""

    async def work(parts: Components, server: ServerRecord) -> None:
        await parts.servers.remove(server.tenant_id, server.id)

    at_server(context, tenant, name, work)
    click.echo(f"{name} is removed.")
