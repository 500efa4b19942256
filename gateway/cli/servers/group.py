"""`modelgate servers`: the upstream servers of a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant
from gateway.catalog.server_record import ServerRecord
from gateway.cli.component_runner import run_with_components, run_with_server
from gateway.cli.options import tenant_option
from gateway.cli.output import format_time, print_table, printable
from gateway.cli.servers.add import add
from gateway.cli.servers.check import check
from gateway.cli.servers.import_config import import_servers
from gateway.cli.servers.login import login
from gateway.cli.servers.registry import add_from_registry, search
from gateway.cli.servers.set import set_server
from gateway.cli.servers.show import format_health, show

if TYPE_CHECKING:
    from gateway.components import Components


@click.group()
def servers() -> None:
    """Add, list, change and remove upstream servers."""


for command in (add, import_servers, search, add_from_registry, show, set_server, check, login):
    servers.add_command(command)


@servers.command("list")
@tenant_option
@click.pass_context
def list_servers(context: click.Context, tenant: str) -> None:
    """List all servers with the state of their last sync."""

    async def work(components: Components, owner: Tenant) -> list[ServerRecord]:
        return await components.servers.list(owner.id)

    listed = run_with_components(context, tenant, work)
    if not listed:
        click.echo("There are no servers yet; add one with modelgate servers add.")
        return
    print_table(
        ["NAME", "TRANSPORT", "TOOLS", "STATE", "LAST SYNC", "HEALTH"],
        [
            [
                printable(server.name),
                server.transport,
                _format_tools(server),
                server.state,
                format_time(server.synced_at),
                format_health(server),
            ]
            for server in listed
        ],
    )
    for server in listed:
        if server.sync_error is not None:
            click.echo(f"{printable(server.name)}: {printable(server.sync_error)}")
        if server.enabled and server.last_error not in (None, server.sync_error):
            click.echo(f"{printable(server.name)}: does not answer: {printable(server.last_error or '')}")
        for skipped in server.skipped_tools:
            name, reason = printable(skipped["name"]), printable(skipped["reason"])
            click.echo(f"{printable(server.name)}: tool {name} is left out: {reason}")


@servers.command("remove")
@click.argument("name")
@tenant_option
@click.pass_context
def remove(context: click.Context, name: str, tenant: str) -> None:
    """Remove a server with its tools and the rules about them."""

    async def work(components: Components, server: ServerRecord) -> None:
        await components.servers.remove(server.tenant_id, server.id)

    run_with_server(context, tenant, name, work)
    click.echo(f"{name} is removed.")


def _format_tools(server: ServerRecord) -> str:
    lacking = server.tools_lacking_vectors
    return f"{server.tool_count} ({lacking} without vectors)" if lacking else str(server.tool_count)
