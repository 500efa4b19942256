"""What a rule is about, as it is named on a command line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from gateway.access.rules import RULE_APPROVALS, RuleTarget
from gateway.access.tool_names import tool_by_name
from gateway.catalog.category import CATEGORIES
from gateway.cli.options import option_group
from gateway.database.pool import Database
from gateway.errors import InvalidInputError, NotFoundError

_options = option_group(
    click.option("--tool", metavar="NAME", help="A tool, as github__create_issue or GitHub/create_issue."),
    click.option("--pattern", help='Tools by name, with * for anything: "*delete*".'),
    click.option("--server", metavar="NAME", help="All tools of a server."),
    click.option("--category", type=click.Choice(CATEGORIES), help="All tools of a kind."),
)

approve_option = click.option(
    "--approve",
    type=click.Choice(RULE_APPROVALS),
    help="Whether calls wait for a person; inherit: as its owner says [default: as it was]",
)


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """Exactly one of these is given; a tool and a server by their names."""

    tool: str | None
    pattern: str | None
    server: str | None
    category: str | None

    def __post_init__(self) -> None:
        if sum(field is not None for field in (self.tool, self.pattern, self.server, self.category)) != 1:
            raise InvalidInputError("Name exactly one of --tool, --pattern, --server and --category.")

    async def resolve(self, database: Database, tenant_id: int) -> RuleTarget:
        """The same by ids. Raises NotFoundError for a tool or server that is not there."""
        if self.tool is not None:
            return RuleTarget(tool_id=(await tool_by_name(database, tenant_id, self.tool)).id)
        if self.server is not None:
            row = await database.fetchrow("server_by_name", tenant_id, self.server)
            if row is None:
                raise NotFoundError(f"There is no server {self.server!r}; modelgate servers list shows all.")
            return RuleTarget(server_id=row["id"])
        return RuleTarget(pattern=self.pattern, category=self.category)


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the four options that name the target of a rule, which it takes as `target`."""

    @functools.wraps(command)
    def command_with_target(
        *arguments: Any, tool: str | None, pattern: str | None, server: str | None, category: str | None, **more: Any
    ) -> None:
        command(*arguments, target=NamedTarget(tool, pattern, server, category), **more)

    return _options(command_with_target)
