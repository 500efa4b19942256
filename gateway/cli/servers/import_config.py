"""`modelgate servers import`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.access.tenants import Tenant
from gateway.catalog.client_config.client_config import parse_client_config
from gateway.catalog.client_config.configured_server import ConfiguredServer
from gateway.catalog.tuning import Tuning
from gateway.cli.component_runner import run_with_components
from gateway.cli.options import tenant_option
from gateway.cli.output import printable
from gateway.cli.servers.openapi_document import read_text
from gateway.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    from gateway.components import Components


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--value",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="For ${NAME} in the file, ${input:ID} as input:ID=VALUE; variables of the environment are known.",
)
@tenant_option
@click.pass_context
def import_servers(context: click.Context, file: Path, given: tuple[str, ...], tenant: str) -> None:
    """Add the servers of a client's configuration file: Claude, Cursor, VS Code, Zed, Codex and others.

    Servers that are disabled there, or lack a value, are added disabled.
    """
    values = {**os.environ, "userHome": str(Path.home()), "pathSeparator": os.sep, "/": os.sep, **_pairs(given)}
    config = parse_client_config(read_text(str(file)), values, _ask)
    failed = list(config.problems)
    total = len(config.servers) + len(failed)
    notes: list[str] = []

    async def work(components: Components, owner: Tenant) -> None:
        for server in config.servers:
            try:
                await _add(components, owner, server)
                notes.extend([server.note] if server.note else [])
            except (ConflictError, InvalidInputError) as error:
                failed.append(error.message)

    run_with_components(context, tenant, work)
    for note in notes:
        click.echo(printable(note), err=True)
    for message in failed:
        click.echo(f"Not added: {printable(message)}", err=True)
    added = total - len(failed)
    hint = "; bring their tools in with modelgate sync" if added > len(notes) else ""
    click.echo(f"{added} of {total} servers are added{hint}.")
    if failed:
        context.exit(1)


async def _add(components: Components, owner: Tenant, server: ConfiguredServer) -> None:
    definition = server.definition
    if definition.transport == "stdio" and not definition.cwd:
        # Relative paths in such a file are meant from where it is read; the gateway may run elsewhere.
        definition = replace(definition, cwd=str(Path.cwd()))
    server_id = await components.servers.add(owner.id, definition, enabled=server.enabled)
    if server.tuning != Tuning():
        await components.servers.set_tuning(owner.id, server_id, server.tuning)


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in given:
        name, found, content = value.partition("=")
        if not found or not name:
            raise click.BadParameter(f"{name!r} has no =; write NAME=VALUE.")
        pairs[name] = content
    return pairs


def _ask(name: str, declared: Mapping[str, Any]) -> str | None:
    """The answer of whoever sits at the terminal; None where nobody does, or gives none."""
    if not sys.stdin.isatty():
        return None
    described = declared.get("description")
    default = declared.get("default")
    answer = click.prompt(
        printable(described) if isinstance(described, str) and described else name,
        default=default if isinstance(default, str) else "",
        show_default=bool(default),
        hide_input=declared.get("password") is True,
        err=True,
    )
    return str(answer) or None
