"""The `modelgate` command."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from gateway import __version__
from gateway.errors import ModelGateError

_COMMANDS = {
    "admin": ("admin", "Make, list and remove admins."),
    "audit": ("audit", "Look at the trace of calls, searches, changes and denials, export it, and mask what is old."),
    "bench": ("bench", "Measure what the gateway runs on."),
    "config": ("config", "Look at the settings."),
    "connect": ("connect", "Speak MCP on standard input and output, for a client that can only start a command."),
    "demo": ("demo.command", "Run the gateway with real MCP servers, and print how to ask it for a tool."),
    "embeddings": ("embeddings", "Show and change which embedding space searches use."),
    "encryption": ("encryption", "Change the key that encrypts stored credentials."),
    "keys": ("access.keys", "Make, list, change, rotate and revoke API keys."),
    "migrate": ("migrate", "Bring the database schema up to date; serve does this too."),
    "models": ("models", "List, pull, show, copy, remove, test and warm up the models of Ollama."),
    "profiles": (
        "access.profiles",
        "Select servers and tools, and give the selection an endpoint of its own, /mcp/p/NAME.",
    ),
    "roles": ("access.roles", "Make roles, and say what each sees."),
    "search": ("search", "Find tools for QUERY."),
    "serve": ("serve", "Run the gateway until it is stopped."),
    "servers": ("servers.group", "Add, list, change and remove upstream servers."),
    "sync": ("servers.sync", "Bring the tools of these servers, or of all, into the catalogue."),
    "tenants": ("access.tenants", "Make, list, rename, suspend and delete tenants."),
    "offerings": (
        "servers.offerings",
        "Look at prompts, templates and instructions that changed, were flagged or are hidden, and approve them.",
    ),
    "tools": ("servers.tools", "Look at tools that changed, were flagged or are quarantined, and approve them."),
    "versions": (
        "servers.versions",
        "Show and compare the versions of a server's tools, and pin it to one or go back.",
    ),
}
"""By name, the module of each command and the first sentence of its help, so that listing them imports none."""


class _LazyGroup(click.Group):
    """The commands, each imported when it is asked for: all of them together take two seconds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"gateway.cli.{_COMMANDS[cmd_name][0]}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


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
