"""`modelgate keys`: API keys of the default tenant."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import click

from gateway.access.keys import KeyRing
from gateway.access.tenants import tenant_by_slug
from gateway.cli.running import CONNECTIONS, run, settings_of, table
from gateway.database.pool import open_database

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


def _lifetime(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", value)
    if not match:
        raise click.BadParameter(f"{value!r} is no time span; write 30d, 12h or 90m.")
    return datetime.now(timezone.utc) + timedelta(**{_UNITS[match[2]]: int(match[1])})


@keys.command("create")
@click.option("--name", default="unnamed", show_default=True, help="What the key is for.")
@click.option("--role", "roles", multiple=True, default=("all",), show_default=True, help="A role; may be repeated.")
@click.option("--expires", "expires_at", callback=_lifetime, help="When it ends: 30d, 12h, 90m [default: never]")
@click.pass_context
def create(context: click.Context, name: str, roles: tuple[str, ...], expires_at: datetime | None) -> None:
    """Make a key and print it, once."""
    settings = settings_of(context, log_level="warning")

    async def work() -> str:
        async with open_database(settings, size=CONNECTIONS) as database:
            tenant = await tenant_by_slug(database)
            return (await KeyRing(database).create(tenant.id, name, roles, expires_at)).key

    click.echo(run(work))
    click.echo("Keep this key: it is not shown again.", err=True)


@keys.command("list")
@click.pass_context
def list_keys(context: click.Context) -> None:
    """List all keys, without the keys themselves."""
    settings = settings_of(context, log_level="warning")

    async def work() -> list[list[str]]:
        async with open_database(settings, size=CONNECTIONS) as database:
            tenant = await tenant_by_slug(database)
            return [
                [
                    str(key.id),
                    f"{key.hint}…",
                    key.name,
                    ", ".join(key.roles),
                    key.state,
                    _day(key.expires_at),
                    _day(key.last_used_at),
                ]
                for key in await KeyRing(database).list(tenant.id)
            ]

    rows = run(work)
    if not rows:
        click.echo("There are no keys yet; make one with modelgate keys create.")
        return
    table(["ID", "KEY", "NAME", "ROLES", "STATE", "EXPIRES", "LAST USED"], rows)


@keys.command("revoke")
@click.argument("key_id", type=int)
@click.pass_context
def revoke(context: click.Context, key_id: int) -> None:
    """End the key with this ID at once."""
    settings = settings_of(context, log_level="warning")

    async def work() -> None:
        async with open_database(settings, size=CONNECTIONS) as database:
            tenant = await tenant_by_slug(database)
            await KeyRing(database).revoke(tenant.id, key_id)

    run(work)
    click.echo(f"Key {key_id} is revoked.")


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
