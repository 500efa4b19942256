"""Environment variables and headers on the command line: names with values."""

from __future__ import annotations

from collections.abc import Mapping

import click

from gateway.catalog.servers.server_definition import TransportKind
from gateway.cli.options import ask_secret, option_group
from gateway.errors import InvalidInputError


def _read_pairs(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    separator = ":" if parameter.name == "headers" else "="
    pairs = {}
    for value in values:
        name, found, content = value.partition(separator)
        if not found or not name.strip():
            raise click.BadParameter(f"{name!r} has no {separator}; write NAME{separator}VALUE.")
        name, content = name.strip(), content.strip() if separator == ":" else content
        pairs[name] = ask_secret(name) if content == "-" else content
    return pairs


# A value of - is asked for.
name_value_options = option_group(
    click.option(
        "--env",
        callback=_read_pairs,
        multiple=True,
        metavar="NAME=VALUE",
        help="For a command; encrypted. NAME=- asks.",
    ),
    click.option(
        "--header",
        "headers",
        callback=_read_pairs,
        multiple=True,
        metavar="NAME:VALUE",
        help="For a URL; encrypted. NAME:- asks.",
    ),
)


def check_transport_options(transport: TransportKind, options: Mapping[str, object]) -> None:
    """Raises InvalidInputError for an option with a value that is not for this kind of server."""
    of_commands = {"env": "--env", "without_env": "--without-env", "cwd": "--cwd", "command": "--command"}
    of_urls = {"headers": "--header", "without_headers": "--without-header", "url": "--url"}
    misplaced = of_urls if transport == "stdio" else {**of_commands, "args": "--arg"}
    kind = "a URL" if transport == "stdio" else "a command"
    for name, option in misplaced.items():
        if options.get(name):
            raise InvalidInputError(f"{option} is for {kind}, which this server is not; leave it out.")
