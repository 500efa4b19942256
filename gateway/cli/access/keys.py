"""`modelgate keys`: API keys."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import get_args

import click

from gateway.access.caller import Limits, Right
from gateway.access.keys import ApiKeys, KeyRecord, NewKey
from gateway.cli.command_group import CommandGroup
from gateway.cli.options import json_option, option_group, parse_time_span, tenant_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.cli.runner import run_with_tenant
from gateway.database.pool import Database

_SHOWN_ONCE = "Keep this key: it is not shown again."

_positive = click.IntRange(min=1)
_right = click.Choice(get_args(Right))
_limit_options = option_group(
    click.option("--requests-per-minute", type=_positive, help="How many requests it may make a minute."),
    click.option("--concurrent-calls", type=_positive, help="How many tool calls it may have under way at a time."),
    click.option("--calls-per-day", type=_positive, help="How many tool calls it may make a day (UTC)."),
)


@click.group(cls=CommandGroup)
def keys() -> None:
    """Make, list, change, rotate and revoke API keys."""


@keys.command("create")
@click.option("--name", default="unnamed", show_default=True, help="What the key is for.")
@click.option("--role", "roles", multiple=True, default=("all",), show_default=True, help="A role; may be repeated.")
@click.option(
    "--right",
    "rights",
    multiple=True,
    type=_right,
    help="embed: have texts embedded at /v1/embeddings; approve: decide about calls of others at /v1/approvals.",
)
@click.option("--expires", "lifetime", callback=parse_time_span, help="When it ends: 30d, 12h, 90m [default: never]")
@click.option("--note", default="", help="Anything worth knowing about it.")
@click.option("--owner", metavar="ACCOUNT", help="The account that it acts for, once they have accepted it.")
@_limit_options
@tenant_option
@click.pass_context
def create(
    context: click.Context,
    name: str,
    roles: tuple[str, ...],
    rights: tuple[str, ...],
    lifetime: timedelta | None,
    note: str,
    owner: str | None,
    requests_per_minute: int | None,
    concurrent_calls: int | None,
    calls_per_day: int | None,
    tenant: str,
) -> None:
    """Make a key and print it, once."""
    limits = Limits(requests_per_minute, concurrent_calls, calls_per_day)
    expires_at = None if lifetime is None else datetime.now(timezone.utc) + lifetime

    async def work(database: Database, tenant_id: int) -> NewKey:
        return await ApiKeys(database).create(
            tenant_id, name, roles, expires_at, note=note, limits=limits, rights=rights, owner=owner
        )

    click.echo(run_with_tenant(context, tenant, work).key)
    click.echo(_SHOWN_ONCE, err=True)
    if owner is not None:
        click.echo(f"It acts for {owner} once they have accepted it, on their page My connections.", err=True)


@keys.command("list")
@tenant_option
@json_option
@click.pass_context
def list_keys(context: click.Context, tenant: str, *, as_json: bool) -> None:
    """List all keys, without the keys themselves."""

    async def work(database: Database, tenant_id: int) -> list[KeyRecord]:
        return await ApiKeys(database).list(tenant_id)

    listed = run_with_tenant(context, tenant, work)
    if as_json:
        print_json(listed)
        return
    if not listed:
        click.echo("There are no keys yet; make one with modelgate keys create.")
        return
    print_table(
        ["ID", "KEY", "NAME", "ROLES", "STATE", "EXPIRES", "LAST USED", "OWNER", "RIGHTS", "LIMITS", "NOTE"],
        [
            [
                str(key.id),
                f"{key.hint}…",
                printable(key.name),
                printable(", ".join(key.roles)),
                key.state,
                format_time(key.expires_at),
                format_time(key.last_used_at),
                _format_owner(key),
                ", ".join(key.rights) or "none",
                _format_limits(key),
                printable(key.note, 60),
            ]
            for key in listed
        ],
    )


@keys.command("update")
@click.argument("key_id", type=int)
@click.option("--name", help="What the key is for.")
@click.option("--role", "roles", multiple=True, help="A role; may be repeated, and replaces the roles it has.")
@click.option("--expires", "lifetime", callback=parse_time_span, help="When it ends, from now: 30d, 12h, 90m.")
@click.option("--note", help="Anything worth knowing about it.")
@click.option("--owner", metavar="ACCOUNT", help="The account that it acts for, once they have accepted it.")
@click.option("--no-owner", is_flag=True, help="Let it act for itself.")
@click.option("--no-limits", is_flag=True, help="Take away the limits that are not named.")
@click.option("--right", "rights", multiple=True, type=_right, help="embed, approve; replaces the rights it has.")
@click.option("--no-rights", is_flag=True, help="Take away the rights that are not named.")
@_limit_options
@tenant_option
@click.pass_context
def update(
    context: click.Context,
    key_id: int,
    name: str | None,
    roles: tuple[str, ...],
    rights: tuple[str, ...],
    lifetime: timedelta | None,
    note: str | None,
    owner: str | None,
    requests_per_minute: int | None,
    concurrent_calls: int | None,
    calls_per_day: int | None,
    tenant: str,
    *,
    no_limits: bool,
    no_rights: bool,
    no_owner: bool,
) -> None:
    """Change what goes with the key with this ID; what is not named stays."""

    async def work(database: Database, tenant_id: int) -> None:
        api_keys = ApiKeys(database)
        key = await api_keys.by_id(tenant_id, key_id)
        limits = Limits() if no_limits else key.limits
        await api_keys.update(
            tenant_id,
            key_id,
            name=key.name if name is None else name,
            roles=roles or key.roles,
            expires_at=key.expires_at if lifetime is None else datetime.now(timezone.utc) + lifetime,
            note=key.note if note is None else note,
            limits=Limits(
                requests_per_minute or limits.requests_per_minute,
                concurrent_calls or limits.concurrent_calls,
                calls_per_day or limits.calls_per_day,
            ),
            rights=rights if rights or no_rights else key.rights,
            owner=owner or (None if no_owner else key.owner),
        )

    run_with_tenant(context, tenant, work)
    click.echo(f"Key {key_id} is changed; that holds from its next request on.")


@keys.command("rotate")
@click.argument("key_id", type=int)
@click.option(
    "--overlap", callback=parse_time_span, default="0m", show_default=True, help="How long the old one goes on: 1h."
)
@tenant_option
@click.pass_context
def rotate(context: click.Context, key_id: int, overlap: timedelta, tenant: str) -> None:
    """Make a key that takes over from the one with this ID, and print it, once."""

    async def work(database: Database, tenant_id: int) -> NewKey:
        return await ApiKeys(database).rotate(tenant_id, key_id, overlap)

    new = run_with_tenant(context, tenant, work)
    click.echo(new.key)
    ends = "has ended" if not overlap else f"ends in {overlap}"
    click.echo(f"Key {new.id} takes over from key {key_id}, which {ends}. {_SHOWN_ONCE}", err=True)


@keys.command("revoke")
@click.argument("key_id", type=int)
@tenant_option
@click.pass_context
def revoke(context: click.Context, key_id: int, tenant: str) -> None:
    """End the key with this ID at once."""

    async def work(database: Database, tenant_id: int) -> None:
        await ApiKeys(database).revoke(tenant_id, key_id)

    run_with_tenant(context, tenant, work)
    click.echo(f"Key {key_id} is revoked.")


def _format_limits(key: KeyRecord) -> str:
    """The limits of a key in few words."""
    limits = key.limits
    words = [
        limits.requests_per_minute and f"{limits.requests_per_minute} requests/min",
        limits.concurrent_calls and f"{limits.concurrent_calls} calls at once",
        limits.calls_per_day and f"{key.calls_today} of {limits.calls_per_day} calls today",
    ]
    return ", ".join(word for word in words if word) or "none"


def _format_owner(key: KeyRecord) -> str:
    if key.owner is None:
        return "none"
    return printable(key.owner) + ("" if key.accepted_at is not None else " (not accepted)")
