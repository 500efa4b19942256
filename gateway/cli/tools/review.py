"""`modelgate tools`: what is held against tools, and what an admin says to that."""

from __future__ import annotations

import click

from gateway.access.tenants import Tenant
from gateway.catalog.review.approval import Approvals, ToolReview
from gateway.catalog.review.review_state import ON_CHANGE_POLICIES
from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog, run_with_catalog_server
from gateway.cli.options import in_tenant, json_option, tenant_option
from gateway.cli.output import print_json, printable

_LINE_CHARACTERS = 300
_OUTCOMES = {"accept": "taken over", "flag": "taken over and flagged", "quarantine": "hidden until they are approved"}


@click.command()
@click.argument("server", required=False)
@tenant_option
@json_option
@click.pass_context
def flags(context: click.Context, server: str | None, tenant: str, *, as_json: bool) -> None:
    """Show the tools of SERVER, or of all servers, that want a look, and why."""

    async def work(parts: CatalogParts, owner: Tenant) -> list[ToolReview]:
        server_id = None if server is None else (await parts.servers.get_by_name(owner.id, server)).id
        return await Approvals(parts.database).list(owner.id, server_id, waiting=True)

    tools_to_review = run_with_catalog(context, tenant, work)
    if as_json:
        print_json(tools_to_review)
        return
    if not tools_to_review:
        click.echo("No tool wants a look.")
        return
    for tool in tools_to_review:
        states = [state for state, holds in (("quarantined", tool.quarantine), ("changed", tool.changed)) if holds]
        click.echo(printable(f"{tool.server}/{tool.name}: {', '.join(states) or 'flagged'}"))
        if tool.quarantine:
            click.echo(f"    {tool.quarantine}")
        for field in tool.changes:
            click.echo(f"    {printable(field.describe(), _LINE_CHARACTERS)}")
        for flag in tool.flags:
            if not flag.dismissed:
                line = f"{flag.severity}, {flag.rule} at {flag.place}: {flag.reason} {flag.excerpt!r}"
                click.echo(f"    {printable(line, _LINE_CHARACTERS)}")
    count = len(tools_to_review)
    subject = "1 tool wants" if count == 1 else f"{count:,} tools want"
    click.echo(f"{subject} a look; approve with modelgate tools approve SERVER [TOOL]{in_tenant(tenant)}.")


@click.command()
@click.argument("server")
@click.argument("tool", required=False)
@tenant_option
@click.pass_context
def approve(context: click.Context, server: str, tool: str | None, tenant: str) -> None:
    """Approve TOOL of SERVER as it is now, or all its tools that wait."""

    async def work(parts: CatalogParts, record: ServerRecord) -> list[str]:
        return await Approvals(parts.database).approve(record.tenant_id, record.id, tool)

    approved = run_with_catalog_server(context, tenant, server, work)
    if not approved:
        click.echo(f"No tool of {server} waits for approval.")
        return
    click.echo(printable(f"Approved: {', '.join(approved)}."))


@click.command()
@click.argument("server")
@click.argument("tool")
@tenant_option
@click.pass_context
def quarantine(context: click.Context, server: str, tool: str, tenant: str) -> None:
    """Hide TOOL of SERVER from every client until it is approved."""

    async def work(parts: CatalogParts, record: ServerRecord) -> None:
        await Approvals(parts.database).quarantine(record.tenant_id, record.id, tool)

    run_with_catalog_server(context, tenant, server, work)
    click.echo(printable(f"{tool} is quarantined; modelgate tools approve lets it out."))


@click.command("on-change")
@click.argument("server")
@click.argument("action", type=click.Choice(ON_CHANGE_POLICIES))
@tenant_option
@click.pass_context
def on_change(context: click.Context, server: str, action: str, tenant: str) -> None:
    """Say what happens when a tool of SERVER is not as it was approved: accept, flag, or quarantine it."""

    async def work(parts: CatalogParts, record: ServerRecord) -> None:
        await Approvals(parts.database).set_on_change(record.tenant_id, record.id, action)

    run_with_catalog_server(context, tenant, server, work)
    click.echo(f"Changed tools of {server} are {_OUTCOMES[action]} from now on.")
