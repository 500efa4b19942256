"""`modelgate audit`: the trace of a tenant, to look at and to take elsewhere."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO

import click

from gateway.access.tenants import DEFAULT_TENANT, tenant_by_slug
from gateway.audit.reader import COLUMNS, AuditQuery, AuditRecord, csv_line, read_audit_page, read_audit_records
from gateway.cli.command import CONNECTIONS, plain, run, settings_of, table
from gateway.database.pool import Database, open_database

_SHOWN_CHARACTERS = 60
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_WHOLE_GATEWAY = "-"


@click.group()
def audit() -> None:
    """Look at the trace of calls, searches, changes and denials, and export it."""


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    span = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", value)
    if span:
        return datetime.now(timezone.utc) - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time; write 2026-01-31, or 30d, 12h, 90m for so long ago.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


_tenant = click.option(
    "--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose trace; - is the gateway as a whole."
)


@audit.command("list")
@_tenant
@click.option("--since", callback=_moment, help="From when on: 2026-01-31, or 30d, 12h, 90m ago.")
@click.option("--action", help="What the action begins with, as tool.call or role.")
@click.option("--outcome", help="ok, denied, unknown, failed, tool error, limited or invalid.")
@click.option("--find", "text", help="Part of a name of who did it, or of what it was done to.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.pass_context
def list_trace(
    context: click.Context,
    tenant: str,
    since: datetime | None,
    action: str | None,
    outcome: str | None,
    text: str | None,
    limit: int,
) -> None:
    """Show the newest rows of the trace."""
    settings = settings_of(context, log_level="warning")

    async def work() -> list[AuditRecord]:
        async with open_database(settings, size=CONNECTIONS) as database:
            wanted = AuditQuery(since, action, outcome, text)
            return await read_audit_page(database, await _tenant_id(database, tenant), wanted, limit)

    rows = run(work)
    if not rows:
        click.echo("Nothing of that kind is in the trace.")
        return
    table(
        ["TIME (UTC)", "WHO", "FROM", "ACTION", "TARGET", "OUTCOME", "MS"],
        [
            [
                f"{row.at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}",
                plain(f"{row.actor_kind} {row.actor_name}" if row.actor_kind != row.actor_name else row.actor_name),
                row.address,
                row.action,
                plain(row.target, _SHOWN_CHARACTERS),
                row.outcome,
                f"{row.duration_ms:.1f}",
            ]
            for row in rows
        ],
    )


@audit.command()
@_tenant
@click.option("--since", callback=_moment, help="From when on: 2026-01-31, or 30d, 12h, 90m ago.")
@click.option("--until", callback=_moment, help="Until before when, written alike.")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A new file [default: standard output]")
@click.pass_context
def export(
    context: click.Context,
    tenant: str,
    since: datetime | None,
    until: datetime | None,
    form: str,
    output: Path | None,
) -> None:
    """Write the trace as JSON lines or CSV, oldest first."""
    settings = settings_of(context, log_level="warning")

    async def work(file: IO[str]) -> int:
        written = 0
        async with open_database(settings, size=CONNECTIONS) as database:
            if form == "csv":
                file.write(csv_line(list(COLUMNS)) + "\r\n")
            async for row in read_audit_records(database, await _tenant_id(database, tenant), since, until):
                file.write(row.as_csv() + "\r\n" if form == "csv" else row.as_json() + "\n")
                written += 1
        return written

    if output is None:
        with click.open_file("-", "w", encoding="utf-8") as file:
            run(lambda: work(file))
        return
    try:
        with output.open("x", encoding="utf-8", newline="") as file:
            written = run(lambda: work(file))
    except OSError as error:
        raise click.BadParameter(f"{output} cannot be written: {error.strerror}.", param_hint="--output") from None
    click.echo(f"{written} rows are written to {output}.")


async def _tenant_id(database: Database, slug: str) -> int:
    return 0 if slug == _WHOLE_GATEWAY else (await tenant_by_slug(database, slug)).id
