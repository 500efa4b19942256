"""The `modelgate` command."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway import __version__
from gateway.cli.admin import admin
from gateway.cli.audit import audit
from gateway.cli.config import config
from gateway.cli.connect import connect
from gateway.cli.keys import keys
from gateway.cli.profiles import profiles
from gateway.cli.roles import roles
from gateway.cli.search import search
from gateway.cli.serve import demo, migrate, serve
from gateway.cli.servers import servers, sync
from gateway.cli.tenants import tenants
from gateway.cli.tools import tools
from gateway.cli.versions import versions
from gateway.errors import ModelGateError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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


for command in (
    serve,
    demo,
    migrate,
    config,
    servers,
    sync,
    search,
    keys,
    audit,
    versions,
    tools,
    connect,
    admin,
    roles,
    profiles,
    tenants,
):
    cli.add_command(command)


def main() -> None:
    """Run the command; an error of ours is one sentence on standard error and exit code 1."""
    try:
        cli.main(prog_name="modelgate", standalone_mode=True)
    except ModelGateError as error:
        click.echo(f"Error: {error.message}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
