"""The rules of roles and of profiles, as commands set, unset and show them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from gateway.access.explanation import tool_named
from gateway.access.roles import Visibility
from gateway.access.rules import Rule, delete_rule, list_rules, set_rule
from gateway.catalog.category import CATEGORIES
from gateway.cli.command import plain, table
from gateway.database.pool import Database
from gateway.errors import InvalidInputError, NotFoundError

_TARGETS = (
    click.option("--tool", metavar="NAME", help="A tool, as github__create_issue or GitHub/create_issue."),
    click.option("--pattern", help='Tools by name, with * for anything: "*delete*".'),
    click.option("--server", metavar="NAME", help="All tools of a server."),
    click.option("--category", type=click.Choice(CATEGORIES), help="All tools of a kind."),
)


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """What a rule is about, as it is written on a command line: exactly one of these."""

    tool: str | None
    pattern: str | None
    server: str | None
    category: str | None

    def __post_init__(self) -> None:
        if sum(field is not None for field in (self.tool, self.pattern, self.server, self.category)) != 1:
            raise InvalidInputError("Name exactly one of --tool, --pattern, --server and --category.")


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the four options that name the target of a rule, which it takes as `target`."""

    @functools.wraps(command)
    def targeted(
        *arguments: Any, tool: str | None, pattern: str | None, server: str | None, category: str | None, **more: Any
    ) -> None:
        command(*arguments, target=NamedTarget(tool, pattern, server, category), **more)

    options: Callable[..., None] = targeted
    for option in reversed(_TARGETS):
        options = option(options)
    return options


async def put(database: Database, tenant_id: int, owner_id: int, target: NamedTarget, visibility: Visibility) -> None:
    """Set the rule of a role or profile about `target`. Raises NotFoundError for what is not there."""
    tool_id, server_id = await _ids(database, tenant_id, target)
    await set_rule(
        database,
        tenant_id,
        owner_id,
        visibility,
        tool_id=tool_id,
        pattern=target.pattern,
        server_id=server_id,
        category=target.category,
    )


async def take_away(database: Database, tenant_id: int, owner_id: int, target: NamedTarget) -> None:
    """Remove the rule of a role or profile about `target`. Raises NotFoundError where there is none."""
    tool_id, server_id = await _ids(database, tenant_id, target)
    wanted = (tool_id, target.pattern, server_id, target.category)
    for rule in await list_rules(database, tenant_id, owner_id):
        if (rule.target.tool_id, rule.target.pattern, rule.target.server_id, rule.target.category) == wanted:
            await delete_rule(database, tenant_id, rule.id)
            return
    raise NotFoundError("There is no rule about that.")


def show(rules: list[Rule]) -> None:
    """Print rules, the more specific first."""
    table(
        ["RULE", "ABOUT", "VISIBILITY"],
        [
            [str(rule.id), plain(rule.about) + (" (not there just now)" if rule.tool_removed else ""), rule.visibility]
            for rule in rules
        ],
    )


async def _ids(database: Database, tenant_id: int, target: NamedTarget) -> tuple[int | None, int | None]:
    tool_id = None if target.tool is None else (await tool_named(database, tenant_id, target.tool)).id
    if target.server is None:
        return tool_id, None
    row = await database.fetchrow("server_by_name", tenant_id, target.server)
    if row is None:
        raise NotFoundError(f"There is no server {target.server!r}; modelgate servers list shows all.")
    return tool_id, row["id"]
