"""`modelgate restore`: a backup, read back."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.database.backup import contents_of
from gateway.cli.runner import load_command_settings, run_async
from gateway.database.backup.archive import BackupReader
from gateway.database.backup.restore import restore_backup
from gateway.database.embedded import reachable_database
from gateway.errors import BackupError
from gateway.settings import Settings
from gateway.vault import fingerprints, open_keys


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only look whether FILE is whole, and say what is in it.")
@click.option("--replace", is_flag=True, help="Restore in place of what the database holds.")
@click.option("--without-key", is_flag=True, help="Restore without the key that opens the credentials in FILE.")
@click.pass_context
def restore(context: click.Context, file: Path, check: bool, replace: bool, without_key: bool) -> None:
    """Fill an empty database from FILE, which modelgate backup wrote.

    All gateways of the database have to be stopped. It is all of it or nothing, and a backup of an older version is
    brought up to date on the way.
    """
    settings = load_command_settings(context, log_level="warning")
    with BackupReader(file) as reader:
        manifest = reader.manifest
        told = f"of {manifest.made_at} by ModelGate {manifest.version}: {contents_of(manifest)}"
        if check:
            reader.check()
            click.echo(f"{file} is whole, {told}.")
            click.echo(f"Its credentials need the encryption key {', '.join(manifest.keys) or '(there are none)'}.")
            return
        if not without_key:
            _check_keys(settings, manifest.keys)

        async def work() -> None:
            async with reachable_database(settings) as url:
                await restore_backup(url, reader, replace=replace)

        run_async(work)
    click.echo(f"{file} is restored, {told}.")


def _check_keys(settings: Settings, needed: list[str]) -> None:
    if not needed:
        return
    server = settings.server
    there = fingerprints(open_keys(server.encryption_key, server.former_encryption_key, settings.data_dir))
    missing = [key for key in needed if key not in there]
    if missing:
        raise BackupError(
            f"The credentials in the backup need the encryption key {', '.join(missing)}, and here is "
            f"{', '.join(there)}; set MODELGATE_ENCRYPTION_KEY, or put the key file into {settings.data_dir}. "
            "With --without-key they are restored sealed as they are, to be given again."
        )
