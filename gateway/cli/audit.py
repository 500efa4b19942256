"""`modelgate audit`: the trace of a tenant, to look at and to take elsewhere."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import IO

import click

from gateway.access.tenants import DEFAULT_TENANT, tenant_by_slug
from gateway.audit.past_rows import redact_rows_before
from gateway.audit.reader import COLUMNS, AuditQuery, AuditRecord, csv_line, read_audit_page, read_audit_records
from gateway.cli.options import json_option, parse_time
from gateway.cli.output import print_json, print_table, printable
from gateway.cli.runner import POOL_SIZE, load_command_settings, run_async, run_with_database
from gateway.database.pool import Database, open_database

_SHOWN_CHARACTERS = 60
_WHOLE_GATEWAY = "-"


@click.group()
def audit() -> None:
    """Look at the trace of calls, searches, changes and denials, export it, and mask what is old."""


_tenant_option = click.option(
    "--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose trace; - is the gateway as a whole."
)


@audit.command("list")
@_tenant_option
@click.option("--since", callback=parse_time, help="From when on: 2026-01-31, or 30d, 12h, 90m ago.")
@click.option("--action", help="What the action begins with, as tool.call or role.")
@click.option("--outcome", help="ok, started, denied, unknown, failed, tool error, limited or invalid.")
@click.option("--find", "text", help="Part of a name of who did it, or of what it was done to.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
@click.pass_context
def list_records(
    context: click.Context,
    tenant: str,
    since: datetime | None,
    action: str | None,
    outcome: str | None,
    text: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show the newest rows of the trace."""

    async def work(database: Database) -> list[AuditRecord]:
        query = AuditQuery(since, action, outcome, text)
        return await read_audit_page(database, await _tenant_id(database, tenant), query, limit)

    records = run_with_database(context, work)
    if as_json:
        print_json(records)
        return
    if not records:
        click.echo("Nothing of that kind is in the trace.")
        return
    print_table(
        ["TIME (UTC)", "WHO", "FROM", "ACTION", "TARGET", "OUTCOME", "MS"],
        [
            [
                f"{record.at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}",
                printable(
                    f"{record.actor_kind} {record.actor_name}"
                    if record.actor_kind != record.actor_name
                    else record.actor_name
                ),
                record.address,
                record.action,
                printable(record.target, _SHOWN_CHARACTERS),
                record.outcome,
                f"{record.duration_ms:.1f}",
            ]
            for record in records
        ],
    )


@audit.command()
@_tenant_option
@click.option("--since", callback=parse_time, help="From when on: 2026-01-31, or 30d, 12h, 90m ago.")
@click.option("--until", callback=parse_time, help="Until before when, written alike.")
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A new file [default: standard output]")
@click.pass_context
def export(
    context: click.Context,
    tenant: str,
    since: datetime | None,
    until: datetime | None,
    file_format: str,
    output: Path | None,
) -> None:
    """Write the trace as JSON lines or CSV, oldest first."""
    settings = load_command_settings(context, log_level="warning")

    async def write_records(file: IO[str]) -> int:
        written = 0
        async with open_database(settings, size=POOL_SIZE) as database:
            if file_format == "csv":
                file.write(csv_line(list(COLUMNS)) + "\r\n")
            async for record in read_audit_records(database, await _tenant_id(database, tenant), since, until):
                file.write(record.as_csv() + "\r\n" if file_format == "csv" else record.as_json() + "\n")
                written += 1
        return written

    if output is None:
        with click.open_file("-", "w", encoding="utf-8") as file:
            run_async(lambda: write_records(file))
        return
    try:
        with output.open("x", encoding="utf-8", newline="") as file:
            written = run_async(lambda: write_records(file))
    except OSError as error:
        raise click.BadParameter(f"{output} cannot be written: {error.strerror}.", param_hint="--output") from None
    click.echo(f"{written} rows are written to {output}.")


@audit.command()
@click.option("--before", "moment", callback=parse_time, required=True, help="2026-01-31, or 30d, 12h, 90m ago.")
@click.confirmation_option(prompt="Mask this for good, in the trace of every tenant?")
@click.pass_context
def redact(context: click.Context, moment: datetime) -> None:
    """Mask arguments, queries, errors and values of all tenants' rows before a time; who did what and when stays.

    It takes the database user who owns the tables, and is recorded in the trace.
    """
    rows = run_with_database(context, lambda database: redact_rows_before(database, moment))
    click.echo(f"{rows} rows before {moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC are masked.")


async def _tenant_id(database: Database, slug: str) -> int:
    return 0 if slug == _WHOLE_GATEWAY else (await tenant_by_slug(database, slug)).id
