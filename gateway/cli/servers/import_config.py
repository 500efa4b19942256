"""`modelgate servers import`."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gateway.access.tenants import Tenant
from gateway.catalog.client_config.client_config import parse_client_config
from gateway.catalog.client_config.configured_server import ConfiguredServer
from gateway.catalog.servers.tuning import Tuning
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog
from gateway.cli.options import in_tenant, tenant_option
from gateway.cli.output import printable
from gateway.cli.servers.options.openapi_document import read_text
from gateway.errors import ConflictError, InvalidInputError


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
    if import_client_config(context, tenant, read_text(str(file)), _pairs(given)):
        context.exit(1)


def import_client_config(
    context: click.Context,
    tenant: str,
    text: str,
    values: Mapping[str, str] | None = None,
    leave_out: Collection[str] = (),
) -> int:
    """Add the servers of a configuration file but for those that are left out by name, and say how each went.

    `values` are for what the file leaves open, beside the environment's. Returns how many were not added.
    """
    known = {**os.environ, "userHome": str(Path.home()), "pathSeparator": os.sep, "/": os.sep, **(values or {})}
    config = parse_client_config(text, known, _ask)
    servers = [server for server in config.servers if server.definition.name not in leave_out]
    failed = list(config.problems)
    total = len(servers) + len(failed)
    notes: list[str] = []

    async def work(parts: CatalogParts, owner: Tenant) -> None:
        for server in servers:
            try:
                await _add(parts, owner, server)
                notes.extend([server.note] if server.note else [])
            except (ConflictError, InvalidInputError) as error:
                failed.append(error.message)

    run_with_catalog(context, tenant, work)
    for note in notes:
        click.echo(printable(note), err=True)
    for message in failed:
        click.echo(f"Not added: {printable(message)}", err=True)
    added = total - len(failed)
    hint = f"; bring their tools in with modelgate sync{in_tenant(tenant)}" if added > len(notes) else ""
    click.echo(f"{added} of {total} servers are added{hint}.")
    return len(failed)


async def _add(parts: CatalogParts, owner: Tenant, server: ConfiguredServer) -> None:
    definition = server.definition
    if definition.transport == "stdio" and not definition.cwd:
        # Relative paths in such a file are meant from where it is read; the gateway may run elsewhere.
        definition = replace(definition, cwd=str(Path.cwd()))
    server_id = await parts.servers.add(owner.id, definition, enabled=server.enabled)
    if server.tuning != Tuning():
        await parts.servers.set_tuning(owner.id, server_id, server.tuning)


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
