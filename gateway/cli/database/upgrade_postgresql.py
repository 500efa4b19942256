"""`modelgate upgrade-postgresql`: the embedded PostgreSQL, from one major version to the next."""

from __future__ import annotations

import click

from gateway.cli.runner import load_command_settings, run_async
from gateway.database.backup.upgrade import upgrade_embedded
from gateway.errors import DatabaseError


@click.command("upgrade-postgresql")
@click.pass_context
def upgrade_postgresql(context: click.Context) -> None:
    """Bring the files of the embedded PostgreSQL to the major version that is installed.

    All gateways of the data directory have to be stopped. The files of before stay beside the new ones, as
    postgresql.old, until you remove them. A PostgreSQL of your own is upgraded with its own pg_upgrade.
    """
    settings = load_command_settings(context, log_level="warning")
    if settings.database.url:
        raise DatabaseError("database.url names a PostgreSQL of your own; upgrade it with its own pg_upgrade.")
    before, after = run_async(lambda: upgrade_embedded(settings.data_dir))
    folder = settings.data_dir / "postgresql"
    click.echo(f"{folder} is upgraded from PostgreSQL {before} to {after}; {folder}.old has the files of before.")
