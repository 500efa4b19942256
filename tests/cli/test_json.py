"""`--json`: every command that prints data prints it for programs, too."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from gateway.cli import cli
from tests.cli.shell import Shell

# Commands that print data, with what they need to be given; the servers and tools are those of the fixture.
DATA = [
    "admin list",
    "approvals list",
    "audit list",
    "config show",
    "connections list",
    "doctor",
    "embeddings status",
    "guards list",
    "keys list",
    "learn status",
    "offerings flags",
    "profiles list",
    "roles list",
    "roles list all",
    "roles explain all github/create",
    "search create",
    "servers list",
    "servers show Github",
    "setup",
    "tenants list",
    "tools duplicates",
    "tools example list github/create",
    "tools flags",
    "tools list",
    "tools show github/create",
    "versions list Github",
]
# Of others or of nothing: exports, which are data already, and what has to be reached over a network or a model first.
OTHERS = {
    *("audit export", "bench embedder", "export", "models list", "models show", "models test", "tools similar"),
    *(
        "servers check",
        "servers search",
        "versions diff",
        "apply",
        "sync",
        "completion",
        "approvals show",
        "index status",
    ),
}


def test_it_prints_json_and_nothing_else(shell: Shell) -> None:
    printed = {command: json.loads(shell.run(*command.split(), "--json").stdout) for command in DATA}
    assert [each["name"] for each in printed["servers list"]] == ["Files", "Github"]
    assert printed["roles explain all github/create"]["visibility"] == "SEARCH"
    assert printed["keys list"] == []


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, by its name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_command_that_lists_or_shows_has_it() -> None:
    showing = {
        name: command
        for name, command in commands(cli)
        if name.split()[-1] in ("list", "show", "flags", "status", "diff", "explain", "similar", "duplicates", "check")
    }
    without = [
        name for name, command in showing.items() if not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert without == []
    assert {name for name in showing if not any(f"{each} ".startswith(f"{name} ") for each in DATA)} <= OTHERS
