"""`modelgate servers search` and `add-from-registry`."""

from __future__ import annotations

import shlex

import click

from gateway.access.tenants import Tenant
from gateway.catalog.registry.registry import Registry, RegistryEntry
from gateway.catalog.registry.server_json import DeclaredValue, ServerProposal, propose_server
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog
from gateway.cli.options import ask_secret, in_tenant, json_option, tenant_option
from gateway.cli.output import print_json, print_table, printable
from gateway.cli.runner import load_command_settings, run_async

_SHOWN_CHARACTERS = 100


@click.command()
@click.argument("words", nargs=-1, required=True)
@json_option
@click.pass_context
def search(context: click.Context, words: tuple[str, ...], *, as_json: bool) -> None:
    """Search the registry of registry.url for servers to add."""
    registry = Registry(load_command_settings(context).registry.url)
    found: list[RegistryEntry] = run_async(lambda: registry.search(" ".join(words)))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("The registry has no server of such a name; try one word of it.")
        return
    rows = [
        [printable(server.name), printable(server.version), printable(server.description, _SHOWN_CHARACTERS)]
        for server in found
    ]
    print_table(["NAME", "VERSION", "DESCRIPTION"], rows)
    click.echo("Add one with modelgate servers add-from-registry NAME.")


@click.command("add-from-registry")
@click.argument("name")
@click.option("--version", default="latest", help="[default: the newest]")
@click.option("--remote", is_flag=True, help="The server that its makers run, where there is a package as well.")
@click.option(
    "--value", "given", multiple=True, metavar="NAME=VALUE", help="What the server asks for; encrypted. NAME=- asks."
)
@tenant_option
@click.pass_context
def add_from_registry(
    context: click.Context, name: str, version: str, remote: bool, given: tuple[str, ...], tenant: str
) -> None:
    """Add a server that the registry lists, disabled until it was looked at."""
    values = _values(given)
    registry = Registry(load_command_settings(context).registry.url)
    listed: RegistryEntry = run_async(lambda: registry.get(name, version))
    proposal = propose_server(listed, values, remote=remote)

    async def work(parts: CatalogParts, owner: Tenant) -> None:
        await parts.servers.add(owner.id, proposal.definition, enabled=False)

    run_with_catalog(context, tenant, work)
    _say_what_was_added(proposal, tenant)


def _values(given: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for pair in given:
        name, found, value = pair.partition("=")
        if not found or not name:
            raise click.BadParameter(f"{name!r} has no =; write NAME=VALUE.")
        values[name] = ask_secret(name) if value == "-" else value
    return values


def _say_what_was_added(proposal: ServerProposal, tenant: str) -> None:
    definition = proposal.definition
    quoted, where = shlex.quote(printable(definition.name)), in_tenant(tenant)
    started = shlex.join([definition.command or "", *definition.args]) if definition.command else definition.url or ""
    click.echo(f"{printable(definition.name)} is added, disabled; it is {printable(started)}")
    for value in proposal.declared:
        click.echo(f"  {_described(value)}")
    if proposal.missing:
        names = ", ".join(printable(value.name) for value in proposal.missing)
        click.echo(f"There is no value yet for {names}; give it with modelgate servers set {quoted}{where}.")
    click.echo(f"Look at it, then: modelgate servers set {quoted} --enable{where}")


def _described(value: DeclaredValue) -> str:
    kind = " (secret)" if value.is_secret else ""
    return f"{printable(value.name)}{kind}: {printable(value.description, _SHOWN_CHARACTERS) or 'no description'}"
