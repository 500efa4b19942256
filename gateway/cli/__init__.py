"""The `modelgate` command."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from gateway import __version__
from gateway.errors import ModelGateError

_MODULE_OF_COMMAND = {
    "admin": "admin",
    "audit": "audit",
    "config": "config",
    "connect": "connect",
    "demo": "demo.command",
    "keys": "access.keys",
    "migrate": "migrate",
    "profiles": "access.profiles",
    "roles": "access.roles",
    "search": "search",
    "serve": "serve",
    "servers": "servers.group",
    "sync": "servers.sync",
    "tenants": "access.tenants",
    "tools": "servers.tools",
    "versions": "servers.versions",
}


class _LazyGroup(click.Group):
    """The commands, each imported when it is asked for: all of them together take two seconds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULE_OF_COMMAND)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULE_OF_COMMAND:
            return None
        command: click.Command = getattr(
            importlib.import_module(f"gateway.cli.{_MODULE_OF_COMMAND[cmd_name]}"), cmd_name
        )
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="modelgate")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="The settings file [default: $MODELGATE_CONFIG, else config.toml where there is one]",
)
@click.pass_context
def cli(context: click.Context, config_file: Path | None) -> None:
    """ModelGate: an MCP gateway with semantic tool search."""
    context.obj = config_file


def main() -> None:
    """Run the command; an error of ours is one sentence on standard error and exit code 1."""
    try:
        cli.main(prog_name="modelgate", standalone_mode=True)
    except ModelGateError as error:
        click.echo(f"Error: {error.message}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
