"""`modelgate backup`: what the gateway knows, in one file."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.runner import load_command_settings, run_async
from gateway.database.backup.archive import Manifest
from gateway.database.backup.backup import write_backup
from gateway.database.embedded import reachable_database


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--without-vectors", is_flag=True, help="Leave out the vectors; they are embedded anew after a restore.")
@click.pass_context
def backup(context: click.Context, file: Path, without_vectors: bool) -> None:
    """Write what the gateway knows to FILE, while it runs.

    Servers, tools, roles, rules, profiles, keys (as hashes), credentials (sealed), versions and the audit log, all as
    they are at one moment. The key that seals credentials is not in it: keep it in another place.
    """
    settings = load_command_settings(context, log_level="warning")

    async def work() -> Manifest:
        async with reachable_database(settings) as url:
            return await write_backup(url, file, with_vectors=not without_vectors)

    manifest = run_async(work)
    click.echo(f"{file} ({file.stat().st_size / 2**20:.1f} MiB) holds {contents_of(manifest)}.")
    if manifest.keys:
        place = "server.encryption_key" if settings.server.encryption_key else f"{settings.data_dir / 'encryption.key'}"
        click.echo(f"Its credentials need the encryption key {', '.join(manifest.keys)} ({place}); keep that, too.")


def contents_of(manifest: Manifest) -> str:
    """What a backup holds, in a few words."""
    counted = (("servers", "servers"), ("tools", "tools"), ("roles", "roles"), ("api_keys", "keys"))
    parts = [f"{manifest.rows(table)} {words}" for table, words in counted]
    parts.append(f"{manifest.rows('audit_log') + manifest.rows('tool_calls')} events of the audit log")
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" + ("" if manifest.has_vectors else ", without vectors")
