"""`modelgate offerings`: what is held against prompts, templates and instructions, and what an admin says to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from gateway.access.tenants import Tenant
from gateway.catalog.review.offerings import OFFERING_KINDS, OfferingKind, OfferingReview
from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.component_runner import run_with_components, run_with_server
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import print_json, printable

if TYPE_CHECKING:
    from gateway.components import Components

_LINE_CHARACTERS = 300


@click.group()
def offerings() -> None:
    """Look at prompts, templates and instructions that changed, were flagged or are hidden, and approve them."""


@offerings.command()
@click.argument("server", required=False)
@tenant_option
@json_option
@click.pass_context
def flags(context: click.Context, server: str | None, tenant: str, *, as_json: bool) -> None:
    """Show what SERVER, or any server, offers beside tools and waits for a look, and why."""

    async def work(components: Components, owner: Tenant) -> list[OfferingReview]:
        server_id = None if server is None else (await components.servers.get_by_name(owner.id, server)).id
        return await components.offerings.list(owner.id, server_id, waiting=True)

    reviews = run_with_components(context, tenant, work)
    if as_json:
        print_json(reviews)
        return
    if not reviews:
        click.echo("Nothing waits for a look.")
        return
    for review in reviews:
        states = [state for state, holds in (("hidden", review.quarantine), ("changed", review.changed)) if holds]
        click.echo(printable(f"{review.server}: {review.kind} {review.name}".rstrip()))
        click.echo(printable(f"    {', '.join(states) or 'flagged'} {review.quarantine or ''}".rstrip()))
        for field in review.changes:
            click.echo(f"    {printable(field.describe(), _LINE_CHARACTERS)}")
        for flag in review.flags:
            if not flag.dismissed:
                line = f"{flag.severity}, {flag.rule} at {flag.place}: {flag.reason} {flag.excerpt!r}"
                click.echo(f"    {printable(line, _LINE_CHARACTERS)}")
    click.echo(f"{len(reviews)} wait; approve with modelgate offerings approve SERVER [KIND [NAME]].")


@offerings.command()
@click.argument("server")
@click.argument("kind", type=click.Choice(OFFERING_KINDS), required=False)
@click.argument("name", required=False)
@tenant_option
@click.pass_context
def approve(context: click.Context, server: str, kind: str | None, name: str | None, tenant: str) -> None:
    """Approve what SERVER offers of KIND under NAME as it is now, or all of it that waits."""

    async def work(components: Components, record: ServerRecord) -> list[tuple[OfferingKind, str]]:
        wanted = cast("OfferingKind | None", kind)
        return await components.offerings.approve(record.tenant_id, record.id, wanted, name)

    approved = run_with_server(context, tenant, server, work)
    if not approved:
        click.echo(f"Nothing of {server} waits for approval.")
        return
    click.echo(printable(f"Approved: {', '.join(' '.join(each).rstrip() for each in approved)}."))
