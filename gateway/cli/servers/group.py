"""`modelgate servers`: the upstream servers of a tenant."""

from __future__ import annotations

import click

from gateway.catalog.servers.server_record import ServerRecord, list_server_records
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog_server
from gateway.cli.command_group import CommandGroup
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.cli.runner import load_command_settings, run_with_tenant
from gateway.cli.servers.show import format_health, has_recent_health, server_as_json

_MODULES = {
    "add": "gateway.cli.servers.add:add",
    "import": "gateway.cli.servers.import_config:import_servers",
    "search": "gateway.cli.servers.registry:search",
    "add-from-registry": "gateway.cli.servers.registry:add_from_registry",
    "show": "gateway.cli.servers.show:show",
    "set": "gateway.cli.servers.set:set_server",
    "check": "gateway.cli.servers.check:check",
    "login": "gateway.cli.servers.login:login",
}


@click.group(cls=CommandGroup, modules=_MODULES)
def servers() -> None:
    """Add, list, change and remove upstream servers."""


@servers.command("list")
@tenant_option
@json_option
@click.pass_context
def list_servers(context: click.Context, tenant: str, *, as_json: bool) -> None:
    """List all servers with the state of their last sync."""

    check_every = load_command_settings(context).upstream.check_every_seconds

    listed = run_with_tenant(context, tenant, list_server_records)
    if as_json:
        print_json([server_as_json(server) for server in listed])
        return
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
                format_health(server, check_every),
            ]
            for server in listed
        ],
    )
    for server in listed:
        if server.sync_error is not None:
            click.echo(f"{printable(server.name)}: {printable(server.sync_error)}")
        if has_recent_health(server, check_every) and server.last_error not in (None, server.sync_error):
            click.echo(f"{printable(server.name)}: does not answer: {printable(server.last_error or '')}")
        for skipped in server.skipped_tools:
            name, reason = printable(skipped["name"]), printable(skipped["reason"])
            click.echo(f"{printable(server.name)}: tool {name} is left out: {reason}")


@servers.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Remove it without asking.")
@tenant_option
@click.pass_context
def remove(context: click.Context, name: str, tenant: str, *, yes: bool) -> None:
    """Remove a server with its tools and the rules about them."""
    if not yes:
        click.confirm(f"Remove {name} with its tools, their vectors and the rules about them?", abort=True, err=True)

    async def work(parts: CatalogParts, server: ServerRecord) -> None:
        await parts.servers.remove(server.tenant_id, server.id)

    run_with_catalog_server(context, tenant, name, work)
    click.echo(f"{name} is removed.")


def _format_tools(server: ServerRecord) -> str:
    lacking = server.tools_lacking_vectors
    return f"{server.tool_count} ({lacking} without vectors)" if lacking else str(server.tool_count)
