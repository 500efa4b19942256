"""`modelgate keys`: API keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import click

from gateway.access.caller import Limits
from gateway.access.keys import ApiKeys, KeyRecord, NewKey
from gateway.access.tenants import tenant_by_slug
from gateway.cli.access.tenants import tenant_option
from gateway.cli.command import on_database, plain, table
from gateway.database.pool import Database

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_KEEP = "Keep this key: it is not shown again."


@click.group()
def keys() -> None:
    """Make, list, change, rotate and revoke API keys."""


def _span(_context: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    match = re.fullmatch(r"(0|[1-9][0-9]{0,4})([mhd])", value)
    if not match:
        raise click.BadParameter(f"{value!r} is no time span; write 30d, 12h or 90m.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _limits(command: CommandT) -> CommandT:
    positive = click.IntRange(min=1)
    for option in (
        click.option("--calls-per-day", type=positive, help="How many tool calls it may make a day (UTC)."),
        click.option("--concurrent-calls", type=positive, help="How many tool calls it may have under way at a time."),
        click.option("--requests-per-minute", type=positive, help="How many requests it may make a minute."),
    ):
        command = option(command)
    return command


@keys.command("create")
@click.option("--name", default="unnamed", show_default=True, help="What the key is for.")
@click.option("--role", "roles", multiple=True, default=("all",), show_default=True, help="A role; may be repeated.")
@click.option("--expires", "life", callback=_span, help="When it ends: 30d, 12h, 90m [default: never]")
@click.option("--note", default="", help="Anything worth knowing about it.")
@_limits
@tenant_option
@click.pass_context
def create(
    context: click.Context,
    name: str,
    roles: tuple[str, ...],
    life: timedelta | None,
    note: str,
    requests_per_minute: int | None,
    concurrent_calls: int | None,
    calls_per_day: int | None,
    tenant: str,
) -> None:
    """Make a key and print it, once."""
    limits = Limits(requests_per_minute, concurrent_calls, calls_per_day)
    expires_at = None if life is None else datetime.now(timezone.utc) + life

    async def work(database: Database) -> NewKey:
        tenant_id = (await tenant_by_slug(database, tenant)).id
        return await ApiKeys(database).create(tenant_id, name, roles, expires_at, note=note, limits=limits)

    click.echo(on_database(context, work).key)
    click.echo(_KEEP, err=True)


@keys.command("list")
@tenant_option
@click.pass_context
def list_keys(context: click.Context, tenant: str) -> None:
    """List all keys, without the keys themselves."""

    async def work(database: Database) -> list[KeyRecord]:
        return await ApiKeys(database).list((await tenant_by_slug(database, tenant)).id)

    found = on_database(context, work)
    if not found:
        click.echo("There are no keys yet; make one with modelgate keys create.")
        return
    table(
        ["ID", "KEY", "NAME", "ROLES", "STATE", "EXPIRES", "LAST USED", "LIMITS", "NOTE"],
        [
            [
                str(key.id),
                f"{key.hint}…",
                plain(key.name),
                plain(", ".join(key.roles)),
                key.state,
                _moment(key.expires_at),
                _moment(key.last_used_at),
                _told(key),
                plain(key.note, 60),
            ]
            for key in found
        ],
    )


@keys.command("update")
@click.argument("key_id", type=int)
@click.option("--name", help="What the key is for.")
@click.option("--role", "roles", multiple=True, help="A role; may be repeated, and replaces the roles it has.")
@click.option("--expires", "life", callback=_span, help="When it ends, from now: 30d, 12h, 90m.")
@click.option("--note", help="Anything worth knowing about it.")
@click.option("--no-limits", is_flag=True, help="Take away the limits that are not named.")
@_limits
@tenant_option
@click.pass_context
def update(
    context: click.Context,
    key_id: int,
    name: str | None,
    roles: tuple[str, ...],
    life: timedelta | None,
    note: str | None,
    requests_per_minute: int | None,
    concurrent_calls: int | None,
    calls_per_day: int | None,
    tenant: str,
    *,
    no_limits: bool,
) -> None:
    """Change what goes with the key with this ID; what is not named stays."""

    async def work(database: Database) -> None:
        tenant_id = (await tenant_by_slug(database, tenant)).id
        ring = ApiKeys(database)
        key = await ring.by_id(tenant_id, key_id)
        held = Limits() if no_limits else key.limits
        await ring.update(
            tenant_id,
            key_id,
            name=key.name if name is None else name,
            roles=roles or key.roles,
            expires_at=key.expires_at if life is None else datetime.now(timezone.utc) + life,
            note=key.note if note is None else note,
            limits=Limits(
                requests_per_minute or held.requests_per_minute,
                concurrent_calls or held.concurrent_calls,
                calls_per_day or held.calls_per_day,
            ),
        )

    on_database(context, work)
    click.echo(f"Key {key_id} is changed; that holds from its next request on.")


@keys.command("rotate")
@click.argument("key_id", type=int)
@click.option("--overlap", callback=_span, default="0m", show_default=True, help="How long the old one goes on: 1h.")
@tenant_option
@click.pass_context
def rotate(context: click.Context, key_id: int, overlap: timedelta, tenant: str) -> None:
    """Make a key that takes over from the one with this ID, and print it, once."""

    async def work(database: Database) -> NewKey:
        tenant_id = (await tenant_by_slug(database, tenant)).id
        return await ApiKeys(database).rotate(tenant_id, key_id, overlap)

    new = on_database(context, work)
    click.echo(new.key)
    ends = "has ended" if not overlap else f"ends in {overlap}"
    click.echo(f"Key {new.id} takes over from key {key_id}, which {ends}. {_KEEP}", err=True)


@keys.command("revoke")
@click.argument("key_id", type=int)
@tenant_option
@click.pass_context
def revoke(context: click.Context, key_id: int, tenant: str) -> None:
    """End the key with this ID at once."""

    async def work(database: Database) -> None:
        await ApiKeys(database).revoke((await tenant_by_slug(database, tenant)).id, key_id)

    on_database(context, work)
    click.echo(f"Key {key_id} is revoked.")


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _told(key: KeyRecord) -> str:
    """The limits of a key in few words."""
    limits = key.limits
    words = [
        limits.requests_per_minute and f"{limits.requests_per_minute} requests/min",
        limits.concurrent_calls and f"{limits.concurrent_calls} calls at once",
        limits.calls_per_day and f"{key.calls_today} of {limits.calls_per_day} calls today",
    ]
    return ", ".join(word for word in words if word) or "none"
