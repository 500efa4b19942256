"""`modelgate encryption`: the key under which credentials are stored."""

from __future__ import annotations

import click

from gateway.catalog.secrets.key_rotation import KeyRotation, Rotated
from gateway.cli.runner import load_command_settings, run_with_database
from gateway.database.pool import Database
from gateway.vault import open_keys


@click.group()
def encryption() -> None:
    """Change the key that encrypts stored credentials."""


@encryption.command("rotate")
@click.pass_context
def rotate(context: click.Context) -> None:
    """Encrypt all stored credentials anew, while gateways run.

    With the key file, under a new key, which takes the place of the former one when all is done: some 20 seconds.
    With server.encryption_key, under that key; set the one before as server.former_encryption_key first, and restart
    the gateways with both.
    """
    settings = load_command_settings(context, log_level="warning")
    server = settings.server
    keys = open_keys(server.encryption_key, server.former_encryption_key, settings.data_dir)

    async def work(database: Database) -> Rotated:
        return await KeyRotation(database, keys).run()

    rotated = run_with_database(context, work)
    click.echo(f"The secrets of {rotated.resealed} servers are encrypted anew.")
    if rotated.unreadable:
        click.echo(
            f"Those of {rotated.unreadable} servers are under a key that is not here; give them again.", err=True
        )
    elif server.former_encryption_key:
        click.echo("Nothing needs server.former_encryption_key any more; take it out of the settings.")
