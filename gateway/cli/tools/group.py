"""`modelgate tools`: the tools of a tenant."""

from __future__ import annotations

import click

from gateway.cli.tools.examples import example
from gateway.cli.tools.overrides import disable, enable, list_tools, override, show
from gateway.cli.tools.review import approve, flags, on_change, quarantine
from gateway.cli.tools.similarity import duplicates, similar


@click.group()
def tools() -> None:
    """Look at tools, switch them off, override what is said of them, give them examples, approve what changed, and find
    duplicates."""


for command in (
    list_tools,
    show,
    disable,
    enable,
    override,
    example,
    flags,
    approve,
    quarantine,
    on_change,
    similar,
    duplicates,
):
    tools.add_command(command)
