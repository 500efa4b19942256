"""`modelgate migrate`: the database schema."""

from __future__ import annotations

import click

from gateway.cli.runner import load_command_settings, run_async, run_with_database
from gateway.database.pool import Database, plan_migrations


@click.command()
@click.option("--plan", is_flag=True, help="Say what would be applied, and apply nothing.")
@click.pass_context
def migrate(context: click.Context, plan: bool) -> None:
    """Bring the database schema up to date; serve does this too.

    Each migration is applied whole or not at all, and gives way to requests that use what it changes.
    """
    if plan:
        _print_plan(context)
        return

    async def work(database: Database) -> str:
        # Opening the database has applied what was missing.
        return str((await database.fetch("applied_migrations"))[-1]["name"])

    click.echo(f"The database schema is up to date ({run_with_database(context, work)}).")


def _print_plan(context: click.Context) -> None:
    settings = load_command_settings(context, log_level="warning")
    pending = run_async(lambda: plan_migrations(settings))
    if not pending:
        click.echo("The database schema is up to date; there is nothing to apply.")
        return
    for migration in pending:
        reason = migration.incompatible_because
        beside = f"stop the version before first: {reason}" if reason else "the version before goes on beside it"
        click.echo(f"{migration.name}: {beside}")
