"""`modelgate admin`: the people who run the gateway."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import click

from gateway.admin.accounts.account import Accounts, AdminRole
from gateway.admin.accounts.password import MIN_LENGTH, PasswordHasher
from gateway.cli.command_group import CommandGroup
from gateway.cli.options import json_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.cli.runner import ResultT, run_with_database
from gateway.database.pool import Database

_password_option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group(cls=CommandGroup)
def admin() -> None:
    """Make, list and remove admins."""


@admin.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "viewer"]), default="admin", show_default=True)
@click.option(
    "--tenant", "tenants", multiple=True, help="Only for this tenant; may be repeated [default: every tenant]"
)
@_password_option
@click.pass_context
def create(context: click.Context, name: str, role: AdminRole, tenants: tuple[str, ...], password_stdin: bool) -> None:
    """Make an account; a viewer may look and not change."""
    password = _password(password_stdin)
    account = _run_with_accounts(context, lambda accounts: accounts.create(name, password, role, tenants or None))
    click.echo(f"{printable(account.name)} can sign in now.")


@admin.command("list")
@json_option
@click.pass_context
def list_admins(context: click.Context, *, as_json: bool) -> None:
    """List all accounts."""
    listed = _run_with_accounts(context, lambda accounts: accounts.list())
    if as_json:
        print_json(listed)
        return
    if not listed:
        click.echo("There are no admins yet; make one with modelgate admin create.")
        return
    print_table(
        ["ID", "NAME", "ROLE", "TENANTS", "SIGNS IN", "LAST SIGN-IN"],
        [
            [
                str(each.id),
                printable(each.name),
                each.role,
                "all" if each.every_tenant else ", ".join(each.tenants),
                "with a password" if each.has_password else printable(each.issuer or ""),
                format_time(each.signed_in_at),
            ]
            for each in listed
        ],
    )


@admin.command("remove")
@click.argument("name")
@click.pass_context
def remove(context: click.Context, name: str) -> None:
    """Remove an account with its sessions and API tokens."""

    async def work(accounts: Accounts) -> None:
        await accounts.remove((await accounts.get_by_name(name)).id)

    _run_with_accounts(context, work)
    click.echo(f"{printable(name)} is removed.")


@admin.command("password")
@click.argument("name")
@_password_option
@click.pass_context
def password(context: click.Context, name: str, password_stdin: bool) -> None:
    """Set the password of an account; its sessions end."""
    chosen = _password(password_stdin)

    async def work(accounts: Accounts) -> None:
        await accounts.set_password((await accounts.get_by_name(name)).id, chosen)

    _run_with_accounts(context, work)
    click.echo(f"The password of {printable(name)} is set.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    chosen: str = click.prompt(
        f"Password, at least {MIN_LENGTH} characters", hide_input=True, confirmation_prompt=True, err=True
    )
    return chosen


def _run_with_accounts(context: click.Context, work: Callable[[Accounts], Awaitable[ResultT]]) -> ResultT:
    async def open_and_work(database: Database) -> ResultT:
        return await work(Accounts(database, PasswordHasher()))

    return run_with_database(context, open_and_work)
