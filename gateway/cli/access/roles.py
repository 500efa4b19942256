"""`modelgate roles`: who sees what."""

from __future__ import annotations

import click

from gateway.access.explanation import Explanation, explain
from gateway.access.roles import (
    ROLE_APPROVALS,
    VISIBILITIES,
    Role,
    RoleApproval,
    Visibility,
    create_role,
    delete_role,
    list_roles,
    role_by_name,
    update_role,
)
from gateway.access.rules import RuleApproval
from gateway.access.tool_names import tool_by_name
from gateway.cli.access.rule_owner import RuleOwnerCommands, print_rules
from gateway.cli.access.rule_target import NamedTarget, approve_option, target_options
from gateway.cli.command_group import CommandGroup
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import print_json, print_table, printable
from gateway.cli.runner import run_with_tenant
from gateway.database.pool import Database

_visibility = click.Choice(VISIBILITIES, case_sensitive=False)
_role = RuleOwnerCommands(role_by_name)
_APPROVAL_SENTENCES = {
    "none": "Calls wait for nobody where no rule says so.",
    "destructive": "Calls of tools that may destroy something wait for approval.",
    "not_read_only": "Calls of tools that may change something wait for approval.",
    "all": "Calls of every tool wait for approval.",
}


@click.group(cls=CommandGroup)
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

    run_with_tenant(context, tenant, work)
    click.echo(f"The role {name} is created. What no rule is about is {default}.")


@roles.command("list")
@click.argument("name", required=False)
@tenant_option
@json_option
@click.pass_context
def list_all(context: click.Context, name: str | None, tenant: str, *, as_json: bool) -> None:
    """List all roles, or the rules of the role NAME."""
    if name is not None:
        role, rules = _role.rules(context, tenant, name)
        if as_json:
            print_json({"role": role, "rules": rules})
            return
        if rules:
            print_rules(rules)
        click.echo(f"What no rule is about is {role.default_visibility}.")
        click.echo(_APPROVAL_SENTENCES[role.approve])
        return
    listed = run_with_tenant(context, tenant, list_roles)
    if as_json:
        print_json(listed)
        return
    if not listed:
        click.echo("There are no roles yet; make one with modelgate roles create.")
        return
    print_table(
        ["NAME", "DEFAULT", "RULES", "KEYS", "DESCRIPTION"],
        [
            [
                printable(role.name),
                role.default_visibility,
                str(role.rule_count),
                str(role.key_count),
                printable(role.description, 80),
            ]
            for role in listed
        ],
    )


@roles.command("default")
@click.argument("name")
@click.argument("visibility", type=_visibility)
@tenant_option
@click.pass_context
def set_default(context: click.Context, name: str, visibility: Visibility, tenant: str) -> None:
    """Say what the role NAME sees where no rule is about it."""

    async def work(database: Database, tenant_id: int, role: Role) -> None:
        await update_role(database, tenant_id, role.id, role.version, default=visibility)

    _role.run(context, tenant, name, work)
    click.echo(f"By default the role {name} sees {visibility} now.")


@roles.command("approve")
@click.argument("name")
@click.argument("tools", type=click.Choice(ROLE_APPROVALS))
@tenant_option
@click.pass_context
def set_approval(context: click.Context, name: str, tools: RoleApproval, tenant: str) -> None:
    """Say calls of which TOOLS wait for a person, with the role NAME, where no rule says otherwise.

    destructive: of tools whose destructiveHint is not false; not_read_only: of all that are not read-only.
    """

    async def work(database: Database, tenant_id: int, role: Role) -> None:
        await update_role(database, tenant_id, role.id, role.version, approve=tools)

    _role.run(context, tenant, name, work)
    click.echo(_APPROVAL_SENTENCES[tools])


@roles.command("delete")
@click.argument("name")
@tenant_option
@click.pass_context
def delete(context: click.Context, name: str, tenant: str) -> None:
    """Delete a role; keys that carry it lose it at once."""

    async def work(database: Database, tenant_id: int, role: Role) -> None:
        await delete_role(database, tenant_id, role.id)

    _role.run(context, tenant, name, work)
    click.echo(f"The role {name} is deleted.")


@roles.command("set")
@click.argument("role")
@click.argument("visibility", type=_visibility)
@approve_option
@target_options
@tenant_option
@click.pass_context
def set_rule(
    context: click.Context,
    role: str,
    visibility: Visibility,
    approve: RuleApproval | None,
    target: NamedTarget,
    tenant: str,
) -> None:
    """Say what ROLE sees of a tool, name pattern, server or category."""
    _role.set_rule(context, tenant, role, target, visibility, approve)
    click.echo(f"The rule of {role} is in force: {visibility}.")


@roles.command("unset")
@click.argument("role")
@target_options
@tenant_option
@click.pass_context
def delete_rule(context: click.Context, role: str, target: NamedTarget, tenant: str) -> None:
    """Remove the rule of ROLE about a tool, name pattern, server or category."""
    _role.delete_rule(context, tenant, role, target)
    click.echo(f"The rule of {role} is removed.")


@roles.command("explain")
@click.argument("role")
@click.argument("tool")
@tenant_option
@json_option
@click.pass_context
def explain_visibility(context: click.Context, role: str, tool: str, tenant: str, *, as_json: bool) -> None:
    """Say what ROLE sees of TOOL, and which rule decided."""

    async def work(database: Database, tenant_id: int, found: Role) -> Explanation:
        return await explain(database, tenant_id, found, (await tool_by_name(database, tenant_id, tool)).id)

    explanation = _role.run(context, tenant, role, work)
    if as_json:
        print_json(explanation)
        return
    click.echo(f"{explanation.tool}: {explanation.visibility}: {printable(explanation.reason)}.")
