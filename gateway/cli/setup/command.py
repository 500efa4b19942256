"""`modelgate setup`: the gateway put into the configuration of an MCP client, and taken out again."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from gateway.access.keys import ApiKeys
from gateway.catalog.client_config.client import (
    CLIENT_IDS,
    CLIENTS,
    ENTRY_NAME,
    Client,
    GatewayAddress,
    client_by_id,
)
from gateway.catalog.client_config.config_edit import (
    ConfigChange,
    backup_path,
    has_entry,
    key_in_entry,
    put_entry,
    read_config,
    undo_entry,
)
from gateway.cli.connect import mcp_endpoint
from gateway.cli.local_url import local_url
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import print_json, print_table, printable
from gateway.cli.runner import load_command_settings, run_with_tenant
from gateway.cli.servers.import_config import import_client_config
from gateway.database.pool import Database
from gateway.errors import InvalidInputError, NotFoundError

_PLACEHOLDER = "mg_…"


@click.command()
@click.argument("client_id", metavar="[CLIENT]", required=False, type=click.Choice(CLIENT_IDS))
@click.option("--print", "print_only", is_flag=True, help="Print the entry and change nothing.")
@click.option("--undo", is_flag=True, help="Take the entry out again.")
@click.option("--import", "import_servers", is_flag=True, help="First add the servers of the client to the gateway.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="The client's file, if it is elsewhere.")
@click.option("--url", envvar="MODELGATE_URL", help="Where the client finds the gateway [default: as the settings say]")
@click.option("--key", envvar="MODELGATE_API_KEY", help="An API key [default: a new one is made]")
@click.option("--role", default="all", show_default=True, help="The role of the new key.")
@json_option
@tenant_option
@click.pass_context
def setup(
    context: click.Context,
    client_id: str | None,
    file: Path | None,
    url: str | None,
    key: str | None,
    role: str,
    tenant: str,
    *,
    print_only: bool,
    undo: bool,
    import_servers: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Put the gateway into the configuration of CLIENT, or list the clients and whether it is there.

    The difference is shown before the file is written; all else in it stays as it is. What the file held before is kept
    beside it.
    """
    if client_id is None:
        _print_clients(as_json=as_json)
        return
    client = client_by_id(client_id)
    path = file or client.config_path()
    if undo:
        _undo(client, path, yes=yes)
        return
    settings = load_command_settings(context, log_level="warning")
    public = settings.admin.public_url.rstrip("/")
    endpoint = mcp_endpoint(url) if url else f"{public or local_url(settings)}/mcp"
    if key is not None and not (key.isascii() and key.isprintable()):
        raise InvalidInputError("The API key holds characters that no key has; copy it again.")
    gateway = GatewayAddress(endpoint, key or _PLACEHOLDER, connect_command())
    if print_only:
        click.echo(client.snippet(gateway), nl=False)
        return
    if import_servers:
        text = read_config(path)
        if text is None:
            raise NotFoundError(f"There is no file {path} to import servers from.")
        import_client_config(context, tenant, text, leave_out=(ENTRY_NAME,))
    key = key or key_in_entry(client, path)
    gateway = replace(gateway, key=key or _PLACEHOLDER)
    preview = put_entry(client, path, client.build_entry(gateway))
    if preview.before == preview.after:
        click.echo(f"{client.name} has the gateway already, at {endpoint}; --key gives it another key.")
        return
    if not _confirm(client, preview, key, yes=yes):
        context.exit(1)
    preview.require_unchanged()
    if key is None:
        gateway = replace(gateway, key=_make_key(context, tenant, client, role))
    change = replace(preview, after=put_entry(client, path, client.build_entry(gateway)).after)
    change.write()
    click.echo(f"{client.name} has the gateway now, at {endpoint}. {client.next_step}")
    if change.before is not None:
        click.echo(
            f"What the file held before is in {backup_path(path)}; modelgate setup {client.id} --undo takes it back."
        )


def connect_command() -> tuple[str, ...]:
    """What a client starts for `modelgate connect`: by its whole path, for programs with windows have another PATH."""
    if "uv" in Path(sys.prefix).parts and "archive-v0" in Path(sys.prefix).parts:
        # An environment of uvx, which may be gone tomorrow.
        return ("uvx", "--from", "modelgate-mcp", "modelgate", "connect")
    program = Path(sys.executable).with_name("modelgate.exe" if os.name == "nt" else "modelgate")
    return (str(program), "connect") if program.is_file() else (sys.executable, "-m", "gateway", "connect")


def _print_clients(*, as_json: bool) -> None:
    rows = []
    for client in CLIENTS:
        path = client.config_path()
        try:
            state = "set up" if has_entry(client, path) else "not set up" if path.is_file() else "no file yet"
        except InvalidInputError:
            state = "cannot be read"
        rows.append([client.id, client.name, state, printable(str(path))])
    if as_json:
        print_json([dict(zip(("client", "name", "gateway", "file"), row, strict=True)) for row in rows])
        return
    print_table(["CLIENT", "NAME", "GATEWAY", "FILE"], rows)


def _undo(client: Client, path: Path, *, yes: bool) -> None:
    change = undo_entry(client, path)
    if not _confirm(client, change, None, yes=yes):
        raise click.exceptions.Exit(1)
    change.write()
    click.echo(
        f"The gateway is no longer in {path}. The key stays in force: modelgate keys list names it, "
        "modelgate keys revoke ID ends it."
    )


def _confirm(client: Client, change: ConfigChange, key: str | None, *, yes: bool) -> bool:
    """Show what is to be written, and whether it may be."""
    for line in change.diff().splitlines():
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        shown = line if key is None else line.replace(key, _PLACEHOLDER)
        click.secho(shown.replace("\x1b", " "), fg=colour)
    if yes:
        return True
    if not sys.stdin.isatty():
        click.echo(f"Nothing is written; modelgate setup {client.id} --yes writes it.", err=True)
        return False
    return click.confirm(f"Write this to {change.path}?")


def _make_key(context: click.Context, tenant: str, client: Client, role: str) -> str:
    async def work(database: Database, tenant_id: int) -> str:
        return (await ApiKeys(database).create(tenant_id, client.name, [role])).key

    return run_with_tenant(context, tenant, work)
