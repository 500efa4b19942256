"""`modelgate config`: the settings in force."""

from __future__ import annotations

import json

import click

from gateway.cli.runner import load_command_settings
from gateway.settings import mask_secrets


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command("show")
@click.pass_context
def show(context: click.Context) -> None:
    """Print the settings in force as TOML, secrets masked."""
    for section, values in mask_secrets(load_command_settings(context)).items():
        click.echo(f"[{section}]")
        for key, value in values.items():
            # What JSON writes of strings, numbers and lists of strings is TOML too.
            click.echo(f"{key} = {json.dumps(list(value) if isinstance(value, tuple) else value)}")
        click.echo()
