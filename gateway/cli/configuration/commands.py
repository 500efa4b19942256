"""`modelgate export` and `modelgate apply`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog
from gateway.cli.component_runner import run_with_components
from gateway.cli.options import in_tenant, tenant_option
from gateway.cli.output import printable
from gateway.cli.servers.options.openapi_document import read_text

if TYPE_CHECKING:
    from gateway.catalog.configuration.change import ConfigurationChange
    from gateway.components import Components

_SIGNS = {"added": "+", "changed": "~", "removed": "-", "skipped": "!", "unchanged": " "}
_COLOURS = {"added": "green", "changed": "yellow", "removed": "red", "skipped": "magenta"}


@click.command()
@tenant_option
@click.pass_context
def export(context: click.Context, tenant: str) -> None:
    """Print servers, roles, rules, profiles, guards and overrides as one YAML document, without secrets.

    In place of a secret stands ${NAME}, which apply reads from the environment.
    """
    from gateway.catalog.configuration.document import format_configuration
    from gateway.catalog.configuration.export import export_configuration
    from gateway.guards.configured_guards import ConfiguredGuards
    from gateway.guards.rules import GuardRules

    async def work(parts: CatalogParts, owner: Tenant) -> str:
        guards = ConfiguredGuards(GuardRules(parts.database, parts.vault))
        return format_configuration(await export_configuration(parts.database, parts.servers, guards, owner.id))

    click.echo(run_with_catalog(context, tenant, work), nl=False)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Show what would be done and do nothing.")
@click.option("--prune", is_flag=True, help="Remove what is not in FILE, in each of its sections.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@tenant_option
@click.pass_context
def apply(
    context: click.Context, file: Path, tenant: str, *, dry_run: bool, prune: bool, yes: bool, as_json: bool
) -> None:
    """Make servers, roles, rules, profiles, guards and overrides of FILE, as export writes it, the tenant's own.

    What FILE does not name stays as it is. A server whose secrets are neither stored nor in the environment is left
    disabled. Applied once more, nothing changes.
    """
    from gateway.catalog.configuration.apply import ConfigurationUpdate
    from gateway.catalog.configuration.change import ApplyOptions
    from gateway.catalog.configuration.document import parse_configuration
    from gateway.catalog.overrides.tool_overrides import ToolOverrides
    from gateway.guards.configured_guards import ConfiguredGuards

    text = sys.stdin.read() if str(file) == "-" else read_text(str(file))
    configuration = parse_configuration(text)

    def run(options: ApplyOptions) -> tuple[ConfigurationChange, ...]:
        async def work(components: Components, owner: Tenant) -> tuple[ConfigurationChange, ...]:
            update = ConfigurationUpdate(
                components.database,
                components.servers,
                ToolOverrides(components.database, components.spaces),
                ConfiguredGuards(components.guards.rules),
                owner.id,
                options,
            )
            return await update.apply(configuration)

        return run_with_components(context, tenant, work)

    if prune and not (yes or dry_run):
        removed = [each for each in run(ApplyOptions(os.environ, prune, dry_run=True)) if each.change == "removed"]
        for each in removed:
            _print_change(each)
        if removed:
            click.confirm("Remove these?", abort=True, err=True)
    changes = run(ApplyOptions(os.environ, prune, dry_run))
    if as_json:
        click.echo(json.dumps([asdict(change) for change in changes], ensure_ascii=False))
        return
    for change in changes:
        if change.change != "unchanged" or change.note:
            _print_change(change)
    different = sum(change.change not in ("unchanged", "skipped") for change in changes)
    added = any(change.section == "server" and change.change == "added" for change in changes)
    would = "would be " if dry_run else ""
    hint = f"; bring their tools in with modelgate sync{in_tenant(tenant)}" if added and not dry_run else ""
    click.echo(f"{different} of {len(changes)} {would}changed{hint}." if different else "Nothing is to be changed.")


def _print_change(change: ConfigurationChange) -> None:
    note = f": {change.note}" if change.note else ""
    line = printable(f"{_SIGNS[change.change]} {change.section} {change.name}{note}")
    click.secho(line, fg=_COLOURS.get(change.change))
