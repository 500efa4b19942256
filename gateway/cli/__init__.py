"""The `modelgate` command."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click
from click.exceptions import NoSuchCommand

from gateway import __version__
from gateway.errors import ModelGateError

_COMMANDS = {
    "admin": ("access.admin", "Make, list and remove admins."),
    "apply": (
        "configuration.commands",
        "Make servers, roles, rules, profiles, guards and overrides of FILE, as export writes it, the tenant's own.",
    ),
    "approvals": ("access.approvals", "List, show, approve and deny calls that wait for a person."),
    "audit": ("audit", "Look at the trace of calls, searches, changes and denials, export it, and mask what is old."),
    "backup": ("database.backup", "Write what the gateway knows to FILE, while it runs."),
    "bench": ("embedding.bench", "Measure what the gateway runs on."),
    "completion": ("completion", "Print what completes commands in SHELL."),
    "config": ("config", "Look at the settings."),
    "connect": ("connect", "Speak MCP on standard input and output, for a client that can only start a command."),
    "demo": ("demo.command", "Run the gateway with real MCP servers, and print how to ask it for a tool."),
    "doctor": (
        "doctor.command",
        "Look at all that the gateway needs, and say what to do where something is wrong.",
    ),
    "embeddings": ("embedding.embeddings", "Show and change which embedding space searches use."),
    "encryption": ("database.encryption", "Change the key that encrypts stored credentials."),
    "export": (
        "configuration.commands",
        "Print servers, roles, rules, profiles, guards and overrides as one YAML document, without secrets.",
    ),
    "connections": ("access.connections", "Show who has connected which server, connect one, and end connections."),
    "guards": (
        "guards",
        "Look for what must not go to servers or come from them, and say what is done about it.",
    ),
    "index": (
        "search.index",
        "Look at the indexes that searches use in an OpenSearch cluster, build them anew, and drop them.",
    ),
    "keys": ("access.keys", "Make, list, change, rotate and revoke API keys."),
    "learn": ("search.learn", "Show what searches have learnt from the calls that followed them, and forget it."),
    "migrate": ("database.migrate", "Bring the database schema up to date; serve does this too."),
    "models": ("embedding.models", "List, pull, show, copy, remove, test and warm up the models of Ollama."),
    "opensearch": (
        "opensearch.group",
        "Register models of this gateway or of an Ollama in an OpenSearch cluster that has ML Commons.",
    ),
    "profiles": (
        "access.profiles",
        "Select servers and tools, and give the selection an endpoint of its own, /mcp/p/NAME.",
    ),
    "restore": ("database.restore", "Fill an empty database from FILE, which modelgate backup wrote."),
    "roles": ("access.roles", "Make roles, and say what each sees."),
    "search": ("search.search", "Find tools for QUERY."),
    "serve": ("serving.serve", "Run the gateway until it is stopped."),
    "servers": ("servers.group", "Add, list, change and remove upstream servers."),
    "setup": (
        "setup.command",
        "Put the gateway into the configuration of CLIENT, or list the clients and whether it is there.",
    ),
    "sync": ("servers.sync", "Bring the tools of these servers, or of all, into the catalogue."),
    "tenants": ("access.tenants", "Make, list, rename, suspend and delete tenants."),
    "offerings": (
        "servers.offerings",
        "Look at prompts, templates and instructions that changed, were flagged or are hidden, and approve them.",
    ),
    "tools": (
        "tools.group",
        "Look at tools, switch them off, override what is said of them, give them examples, approve what changed, and "
        "find duplicates.",
    ),
    "upgrade-postgresql": (
        "database.upgrade_postgresql",
        "Bring the files of the embedded PostgreSQL to the major version that is installed.",
    ),
    "versions": (
        "servers.versions",
        "Show and compare the versions of a server's tools, and pin it to one or go back.",
    ),
}
"""By name, the module of each command and the first sentence of its help, so that listing them imports none."""


class _LazyGroup(click.Group):
    """The commands, each imported when it is asked for: all of them together take two seconds."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, which knows only of imported commands; raises NoSuchCommand with those that look like it."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, possibilities=_COMMANDS, ctx=ctx) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(
            importlib.import_module(f"gateway.cli.{_COMMANDS[cmd_name][0]}"), cmd_name.replace("-", "_")
        )
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
    """Run the command; an error of ours is one sentence on standard error, with its code, and exit code 1."""
    try:
        cli.main(prog_name="modelgate", standalone_mode=True)
    except ModelGateError as error:
        click.echo(f"Error: {error.message} [{error.error_code}]", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
