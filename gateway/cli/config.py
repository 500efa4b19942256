"""`modelgate config`: the settings in force."""

from __future__ import annotations

import json
from typing import Any

import click

from gateway.cli.options import json_option
from gateway.cli.output import print_json
from gateway.cli.runner import load_command_settings
from gateway.settings import mask_secrets


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command("show")
@json_option
@click.pass_context
def show(context: click.Context, *, as_json: bool) -> None:
    """Print the settings in force as TOML, secrets masked."""
    if as_json:
        print_json(mask_secrets(load_command_settings(context)))
        return
    for section, values in mask_secrets(load_command_settings(context)).items():
        click.echo(f"[{section}]")
        for key, value in values.items():
            click.echo(f"{key} = {_toml(value)}")
        click.echo()


def _toml(value: Any) -> str:
    """A value as TOML; what JSON writes of strings, numbers and lists of strings is TOML too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)
