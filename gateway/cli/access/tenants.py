"""`modelgate tenants`: owners of servers, roles and keys."""

from __future__ import annotations

import click

from gateway.access.tenants import (
    Tenant,
    create_tenant,
    delete_tenant,
    list_tenants,
    rename_tenant,
    suspend_tenant,
    tenant_by_slug,
)
from gateway.cli.command_group import CommandGroup
from gateway.cli.options import json_option
from gateway.cli.output import print_json, print_table, printable
from gateway.cli.runner import run_with_database
from gateway.database.pool import Database


@click.group(cls=CommandGroup)
def tenants() -> None:
    """Make, list, rename, suspend and delete tenants."""


@tenants.command("create")
@click.argument("slug")
@click.option("--name", default="", help="What people call it [default: the slug]")
@click.pass_context
def create(context: click.Context, slug: str, name: str) -> None:
    """Make a tenant, without roles, keys or servers."""
    run_with_database(context, lambda database: create_tenant(database, slug, name))
    click.echo(f"The tenant {slug} is made; give it a role with modelgate roles create NAME --tenant {slug}.")


@tenants.command("list")
@json_option
@click.pass_context
def list_all(context: click.Context, *, as_json: bool) -> None:
    """List all tenants."""
    listed = run_with_database(context, list_tenants)
    if as_json:
        print_json(listed)
        return
    print_table(
        ["SLUG", "NAME", "STATE"],
        [
            [tenant.slug, printable(tenant.name), "in force" if tenant.suspended_at is None else "suspended"]
            for tenant in listed
        ],
    )


@tenants.command("rename")
@click.argument("slug")
@click.argument("name")
@click.pass_context
def rename(context: click.Context, slug: str, name: str) -> None:
    """Call a tenant by another name; its slug stays."""

    async def work(database: Database) -> None:
        await rename_tenant(database, (await tenant_by_slug(database, slug)).id, name)

    run_with_database(context, work)
    click.echo(f"The tenant {slug} is called {printable(name)} now.")


@tenants.command("suspend")
@click.argument("slug")
@click.pass_context
def suspend(context: click.Context, slug: str) -> None:
    """Shut all keys of a tenant out, at once, until it is resumed."""
    _set_suspended(context, slug, suspended=True)
    click.echo(f"The tenant {slug} is suspended; let its keys in again with modelgate tenants resume {slug}.")


@tenants.command("resume")
@click.argument("slug")
@click.pass_context
def resume(context: click.Context, slug: str) -> None:
    """Let the keys of a suspended tenant in again."""
    _set_suspended(context, slug, suspended=False)
    click.echo(f"The keys of the tenant {slug} are in force again.")


@tenants.command("delete")
@click.argument("slug")
@click.option("--confirm", metavar="SLUG", help="The slug once more, in place of typing it when asked.")
@click.pass_context
def delete(context: click.Context, slug: str, confirm: str | None) -> None:
    """Delete a tenant with its servers, tools, roles, profiles and keys."""
    tenant = run_with_database(context, lambda database: tenant_by_slug(database, slug))
    if confirm is None:
        click.echo(f"This deletes the tenant {slug} ({printable(tenant.name)}) with all that is its own, for good.")
        confirm = click.prompt("Type its slug to go on", default="", show_default=False)
    confirmed = confirm.strip()
    run_with_database(context, lambda database: delete_tenant(database, tenant, confirmed))
    click.echo(f"The tenant {slug} is deleted.")


def _set_suspended(context: click.Context, slug: str, *, suspended: bool) -> None:
    async def work(database: Database) -> Tenant:
        tenant = await tenant_by_slug(database, slug)
        await suspend_tenant(database, tenant.id, suspended=suspended)
        return tenant

    run_with_database(context, work)
