"""`modelgate profiles`: virtual servers, each with an endpoint of its own."""

from __future__ import annotations

from typing import Literal

import click

from gateway.access.caller import ListMode, Profile
from gateway.access.profiles import LIST_MODES, ProfileRecord, Profiles
from gateway.access.roles import Visibility
from gateway.access.rules import RuleApproval
from gateway.cli.access.rule_owner import RuleOwnerCommands, print_rules
from gateway.cli.access.rule_target import NamedTarget, approve_option, target_options
from gateway.cli.command_group import CommandGroup
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import print_json, print_table, printable
from gateway.cli.runner import run_with_tenant
from gateway.database.pool import Database

_list_mode = click.Choice(LIST_MODES)

_VISIBILITY_OF_PART: dict[str, Visibility] = {"in": "SEARCH", "listed": "ALLOW", "out": "DENY"}


async def _profile_by_name(database: Database, tenant_id: int, name: str) -> Profile:
    return await Profiles(database).by_name(tenant_id, name)


_profile = RuleOwnerCommands(_profile_by_name)


@click.group(cls=CommandGroup)
def profiles() -> None:
    """Select servers and tools, and give the selection an endpoint of its own, /mcp/p/NAME.

    A key sees there what is in the profile and what its roles let it see.
    """


@profiles.command("create")
@click.argument("name")
@click.option("--list", "list_mode", type=_list_mode, default="search", show_default=True, help="What is listed.")
@click.option("--description", default="", help="What the profile is for; clients are told.")
@tenant_option
@click.pass_context
def create(context: click.Context, name: str, list_mode: ListMode, description: str, tenant: str) -> None:
    """Make a profile that selects nothing yet.

    Listed are the gateway's own tools alone (search), every tool in the profile (all), or those set as listed (chosen).
    """

    async def work(database: Database, tenant_id: int) -> None:
        await Profiles(database).create(tenant_id, name, list_mode, description)

    run_with_tenant(context, tenant, work)
    click.echo(f"The profile {name} answers at /mcp/p/{name}; select for it with modelgate profiles set {name}.")


@profiles.command("list")
@click.argument("name", required=False)
@tenant_option
@json_option
@click.pass_context
def list_all(context: click.Context, name: str | None, tenant: str, *, as_json: bool) -> None:
    """List all profiles, or what the profile NAME selects."""
    if name is not None:
        _, rules = _profile.rules(context, tenant, name)
        if as_json:
            print_json({"profile": name, "rules": rules})
            return
        if rules:
            print_rules(rules)
        else:
            click.echo(f"The profile {name} selects nothing yet.")
        return

    async def work(database: Database, tenant_id: int) -> list[ProfileRecord]:
        return await Profiles(database).list(tenant_id)

    listed = run_with_tenant(context, tenant, work)
    if as_json:
        print_json(listed)
        return
    if not listed:
        click.echo("There are no profiles yet; make one with modelgate profiles create.")
        return
    print_table(
        ["NAME", "LIST", "RULES", "DESCRIPTION"],
        [[each.name, each.list_mode, str(each.rule_count), printable(each.description, 80)] for each in listed],
    )


@profiles.command("update")
@click.argument("name")
@click.option("--list", "list_mode", type=_list_mode, help="What is listed.")
@click.option("--description", help="What the profile is for.")
@tenant_option
@click.pass_context
def update(context: click.Context, name: str, list_mode: ListMode | None, description: str | None, tenant: str) -> None:
    """Change how a profile lists, or what it says of itself."""

    async def work(database: Database, tenant_id: int, profile: Profile) -> None:
        await Profiles(database).update(
            tenant_id, profile.id, profile.version, list_mode=list_mode, description=description
        )

    _profile.run(context, tenant, name, work)
    click.echo(f"The profile {name} is changed.")


@profiles.command("delete")
@click.argument("name")
@tenant_option
@click.pass_context
def delete(context: click.Context, name: str, tenant: str) -> None:
    """Delete a profile; its endpoint is gone at once."""

    async def work(database: Database, tenant_id: int, profile: Profile) -> None:
        await Profiles(database).delete(tenant_id, profile.id)

    _profile.run(context, tenant, name, work)
    click.echo(f"The profile {name} is deleted.")


@profiles.command("set")
@click.argument("profile")
@click.argument("part", type=click.Choice(list(_VISIBILITY_OF_PART)))
@approve_option
@target_options
@tenant_option
@click.pass_context
def set_rule(
    context: click.Context,
    profile: str,
    part: Literal["in", "listed", "out"],
    approve: RuleApproval | None,
    target: NamedTarget,
    tenant: str,
) -> None:
    """Say that a tool, name pattern, server or category is in PROFILE, in it and listed, or left out of it."""
    _profile.set_rule(context, tenant, profile, target, _VISIBILITY_OF_PART[part], approve)
    click.echo(f"The profile {profile} is changed.")


@profiles.command("unset")
@click.argument("profile")
@target_options
@tenant_option
@click.pass_context
def delete_rule(context: click.Context, profile: str, target: NamedTarget, tenant: str) -> None:
    """Take back what was said of a tool, name pattern, server or category."""
    _profile.delete_rule(context, tenant, profile, target)
    click.echo(f"The profile {profile} is changed.")
