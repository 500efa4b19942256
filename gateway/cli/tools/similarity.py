"""`modelgate tools similar` and `duplicates`: tools that are near in meaning."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gateway.access.roles import role_by_name
from gateway.cli.options import option_group, tenant_option
from gateway.cli.output import print_table, printable
from gateway.cli.runner import run_with_tenant
from gateway.database.pool import Database

if TYPE_CHECKING:
    from gateway.catalog.similarity.similar_tools import Duplicates, SimilarTool

_SHOWN_CHARACTERS = 70

_scope_options = option_group(
    click.option("--role", help="Only what a client with this role can find [default: everything]"),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    tenant_option,
)


@click.command()
@click.argument("name")
@click.option("--max-results", type=click.IntRange(1, 50), default=8, show_default=True, help="How many to show.")
@_scope_options
@click.pass_context
def similar(
    context: click.Context, name: str, max_results: int, role: str | None, tenant: str, *, as_json: bool
) -> None:
    """Show the tools nearest in meaning to NAME, of whatever server."""
    from gateway.catalog.similarity.similar_tools import SimilarTools

    async def work(database: Database, tenant_id: int) -> tuple[SimilarTool, ...]:
        roles = await _role_ids(database, tenant_id, role)
        tools = SimilarTools(database)
        return await tools.nearest(tenant_id, await tools.id_of(tenant_id, name, roles), max_results, roles)

    nearest = run_with_tenant(context, tenant, work)
    if as_json:
        click.echo(json.dumps([asdict(tool) for tool in nearest], ensure_ascii=False, indent=2))
        return
    if not nearest:
        click.echo("There is nothing to compare with: no other tool has vectors yet.")
        return
    print_table(
        ["SIMILARITY", "NAME", "SERVER", "DESCRIPTION"],
        [
            [
                f"{tool.similarity:.2f}{' duplicate' if tool.likely_duplicate else ''}",
                tool.exposed_name,
                printable(tool.server_name),
                printable(tool.description, _SHOWN_CHARACTERS),
            ]
            for tool in nearest
        ],
    )


@click.command()
@click.option(
    "--threshold",
    type=click.FloatRange(0.5, 1.0),
    default=0.95,
    show_default=True,
    help="How near in meaning two tools have to be: the cosine of their texts.",
)
@click.option("--same-server", is_flag=True, help="Compare the tools of one server with each other, too.")
@_scope_options
@click.pass_context
def duplicates(
    context: click.Context, threshold: float, role: str | None, tenant: str, *, same_server: bool, as_json: bool
) -> None:
    """Show tools that do the same on several servers."""
    from gateway.catalog.similarity.similar_tools import SimilarTools

    async def work(database: Database, tenant_id: int) -> Duplicates:
        roles = await _role_ids(database, tenant_id, role)
        return await SimilarTools(database).duplicates(
            tenant_id, roles, threshold=threshold, across_servers=not same_server
        )

    found = run_with_tenant(context, tenant, work)
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2))
        return
    for group in found.groups:
        click.echo(f"{len(group.tools)} tools, {group.similarity:.2f} and nearer:")
        for tool in group.tools:
            click.echo(printable(f"    {tool.exposed_name} ({tool.server_name}): {tool.description}", 150))
    if not found.complete:
        click.echo(f"Only {found.compared} tools were compared.")
    click.echo(f"{len(found.groups)} groups among {found.compared} tools.")


async def _role_ids(database: Database, tenant_id: int, role: str | None) -> tuple[int, ...] | None:
    return None if role is None else ((await role_by_name(database, tenant_id, role)).id,)
