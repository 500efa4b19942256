"""`modelgate roles`: who sees what."""

from __future__ import annotations

import click

from gateway.access.explanation import Explanation, explain, tool_named
from gateway.access.roles import (
    VISIBILITIES,
    Visibility,
    create_role,
    delete_role,
    list_roles,
    role_by_name,
    update_role,
)
from gateway.access.rules import Rule, list_rules
from gateway.cli.access.rule_options import NamedTarget, put, show, take_away, target_options
from gateway.cli.access.tenants import on_tenant, tenant_option
from gateway.cli.command import plain, table
from gateway.database.pool import Database

_visibility = click.Choice(VISIBILITIES, case_sensitive=False)


@click.group()
def roles() -> None:
    """Make roles, and say what each sees.

    ALLOW is listed, found and callable, SEARCH is found and callable, DENY is neither. The most specific rule decides:
    tool, then pattern, server, category, then the role's default.
    """


@roles.command("create")
@click.argument("name")
@click.option("--default", type=_visibility, default="DENY", show_default=True, help="For what no rule is about.")
@click.option("--description", default="", help="What the role is for.")
@tenant_option
@click.pass_context
def create(context: click.Context, name: str, default: Visibility, description: str, tenant: str) -> None:
    """Make a role without rules."""

    async def work(database: Database, tenant_id: int) -> None:
        await create_role(database, tenant_id, name, default, description)

    on_tenant(context, tenant, work)
    click.echo(f"The role {name} is made; by default it sees {default}.")


@roles.command("list")
@click.argument("name", required=False)
@tenant_option
@click.pass_context
def list_all(context: click.Context, name: str | None, tenant: str) -> None:
    """List all roles, or the rules of the role NAME."""

    async def rules_of(database: Database, tenant_id: int) -> tuple[str, list[Rule]]:
        role = await role_by_name(database, tenant_id, name or "")
        return role.default_visibility, await list_rules(database, tenant_id, role.id)

    if name is not None:
        default, rules = on_tenant(context, tenant, rules_of)
        if rules:
            show(rules)
        click.echo(f"What no rule is about is {default}.")
        return
    found = on_tenant(context, tenant, list_roles)
    if not found:
        click.echo("There are no roles yet; make one with modelgate roles create.")
        return
    table(
        ["NAME", "DEFAULT", "RULES", "KEYS", "DESCRIPTION"],
        [
            [
                plain(role.name),
                role.default_visibility,
                str(role.rule_count),
                str(role.key_count),
                plain(role.description, 80),
            ]
            for role in found
        ],
    )


@roles.command("default")
@click.argument("name")
@click.argument("visibility", type=_visibility)
@tenant_option
@click.pass_context
def default_of(context: click.Context, name: str, visibility: Visibility, tenant: str) -> None:
    """Say what the role NAME sees where no rule is about it."""

    async def work(database: Database, tenant_id: int) -> None:
        role = await role_by_name(database, tenant_id, name)
        await update_role(database, tenant_id, role.id, role.version, default=visibility)

    on_tenant(context, tenant, work)
    click.echo(f"By default the role {name} sees {visibility} now.")


@roles.command("delete")
@click.argument("name")
@tenant_option
@click.pass_context
def delete(context: click.Context, name: str, tenant: str) -> None:
    """Delete a role; keys that carry it lose it at once."""

    async def work(database: Database, tenant_id: int) -> None:
        await delete_role(database, tenant_id, (await role_by_name(database, tenant_id, name)).id)

    on_tenant(context, tenant, work)
    click.echo(f"The role {name} is deleted.")


@roles.command("set")
@click.argument("role")
@click.argument("visibility", type=_visibility)
@target_options
@tenant_option
@click.pass_context
def set_one(
    context: click.Context,
    role: str,
    visibility: Visibility,
    target: NamedTarget,
    tenant: str,
) -> None:
    """Say what ROLE sees of a tool, name pattern, server or category."""

    async def work(database: Database, tenant_id: int) -> None:
        await put(database, tenant_id, (await role_by_name(database, tenant_id, role)).id, target, visibility)

    on_tenant(context, tenant, work)
    click.echo(f"The rule is in force: {role} sees {visibility}.")


@roles.command("unset")
@click.argument("role")
@target_options
@tenant_option
@click.pass_context
def unset_one(
    context: click.Context,
    role: str,
    target: NamedTarget,
    tenant: str,
) -> None:
    """Remove the rule of ROLE about a tool, name pattern, server or category."""

    async def work(database: Database, tenant_id: int) -> None:
        await take_away(database, tenant_id, (await role_by_name(database, tenant_id, role)).id, target)

    on_tenant(context, tenant, work)
    click.echo(f"The rule of {role} is removed.")


@roles.command("explain")
@click.argument("role")
@click.argument("tool")
@tenant_option
@click.pass_context
def explain_one(context: click.Context, role: str, tool: str, tenant: str) -> None:
    """Say what ROLE sees of TOOL, and which rule decided."""

    async def work(database: Database, tenant_id: int) -> Explanation:
        found = await role_by_name(database, tenant_id, role)
        return await explain(database, tenant_id, found, await tool_named(database, tenant_id, tool))

    told = on_tenant(context, tenant, work)
    click.echo(f"{told.tool}: {told.visibility}: {plain(told.reason)}.")
