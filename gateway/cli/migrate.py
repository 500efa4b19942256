"""`modelgate migrate`: the database schema."""

from __future__ import annotations

import click

from gateway.cli.runner import run_with_database
from gateway.database.pool import Database


@click.command()
@click.pass_context
def migrate(context: click.Context) -> None:
    """Bring the database schema up to date; serve does this too."""

    async def work(database: Database) -> str:
        # Opening the database has applied what was missing.
        return str((await database.fetch("applied_migrations"))[-1]["name"])

    click.echo(f"The database schema is up to date ({run_with_database(context, work)}).")
