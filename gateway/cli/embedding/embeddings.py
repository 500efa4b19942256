"""`modelgate embeddings`: which vectors searches use, and going over to others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant
from gateway.cli.component_runner import run_with_components
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.cli.runner import run_with_database
from gateway.database.pool import Database
from gateway.embedding.cache import QueryCache
from gateway.embedding.spaces.space_store import SpaceStore
from gateway.embedding.spaces.space_switch import SpaceStatus, SpaceSwitch

if TYPE_CHECKING:
    from gateway.components import Components


@click.group()
def embeddings() -> None:
    """Show and change which embedding space searches use.

    A gateway that runs follows at once.
    """


@embeddings.command("status")
@json_option
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Show every space: its model, how far it is filled and what it does."""
    spaces = run_with_database(context, lambda database: SpaceSwitch(SpaceStore(database)).status())
    if as_json:
        print_json(spaces)
        return
    if not spaces:
        click.echo("There is no space yet; the first sync makes one.")
        return
    print_table(
        ["SPACE", "MODEL", "PROVIDER", "DIMENSIONS", "BUILD", "TOOLS", "STATE", "MADE"],
        [
            [
                str(each.record.stored.id),
                printable(each.record.stored.space.model),
                each.record.stored.space.provider,
                str(each.record.stored.space.dimensions),
                each.record.stored.space.build[:12],
                f"{each.embedded} of {each.tools}",
                f"{each.state} {each.record.share}%" if each.record.share else each.state,
                format_time(each.record.created_at),
            ]
            for each in spaces
        ],
    )
    for each in spaces:
        if each.remark:
            click.echo(f"Space {each.record.stored.id}: {printable(each.remark)}")


@embeddings.command("clear-cache")
@click.pass_context
def clear_cache(context: click.Context) -> None:
    """Forget the vectors of all queries, in memory and in the database; those of tools stay."""
    cleared = run_with_database(context, lambda database: QueryCache(database).clear())
    click.echo(
        f"The vectors of {cleared} queries in the database are forgotten, and those in memory of gateways that run."
    )


@embeddings.command("switch")
@click.argument("space", type=int, required=False)
@click.option("--share", type=click.IntRange(1, 100), default=100, help="Percent of the searches [default: all]")
@click.pass_context
def switch(context: click.Context, space: int | None, share: int) -> None:
    """Let SPACE serve [default: the newest that does not], or a share of the searches. Going back is the same."""
    chosen = _change(context, lambda spaces: spaces.switch(space, share))
    which = f"space {chosen.record.stored.id} ({printable(chosen.record.stored.space.model)})"
    if share == 100:
        click.echo(f"Searches use {which} now.")
    elif chosen.record.filled_at is None:
        click.echo(f"{share}% of the searches will use {which} once it holds all tools ({chosen.embedded} so far).")
    else:
        click.echo(f"{share}% of the searches use {which} now.")


@embeddings.command("compare")
@click.argument("query")
@click.option("--space", type=int, help="The other space [default: the one that shares, else the newest]")
@tenant_option
@click.pass_context
def compare(context: click.Context, query: str, space: int | None, tenant: str) -> None:
    """Show what the space that serves and another one answer to QUERY, side by side."""
    from gateway.admin.services.embedding.space_comparison import (
        SpaceComparison,
        SpaceComparisonQuery,
        SpaceComparisonService,
    )
    from gateway.downstream.methods.tools.tool_arguments import parse_search_arguments

    parse_search_arguments({"query": query}, 1)

    async def work(components: Components, owner: Tenant) -> SpaceComparison:
        service = SpaceComparisonService(components.database, components.spaces, components.finder)
        return await service.compare(owner.id, SpaceComparisonQuery(query, space))

    comparison = run_with_components(context, tenant, work)
    for answer in comparison.answers:
        click.echo(f"Space {answer.space} ({printable(answer.model)}), {answer.milliseconds:.0f} ms:")
        for tool in answer.tools:
            click.echo(printable(f"    {tool.score:.2f}{'' if tool.passes else ' (cut)'}  {tool.name}"))
        if not answer.tools:
            click.echo(f"    {printable(answer.error) or 'Nothing is found.'}")
    click.echo(f"{comparison.common} tools are in both.")


@embeddings.command("pause")
@click.argument("space", type=int)
@click.pass_context
def pause(context: click.Context, space: int) -> None:
    """Neither fill SPACE nor switch to it until it is resumed."""
    _change(context, lambda spaces: spaces.pause(space))
    click.echo(f"Space {space} is paused; go on with modelgate embeddings resume {space}.")


@embeddings.command("resume")
@click.argument("space", type=int, required=False)
@click.pass_context
def resume(context: click.Context, space: int | None) -> None:
    """Go on with a space that is paused, or waits for a yes [default: the newest]."""
    chosen = _change(context, lambda spaces: spaces.resume(space))
    left = chosen.tools - chosen.embedded
    click.echo(f"Space {chosen.record.stored.id} goes on; {left} tools are left to be embedded.")


@embeddings.command("drop")
@click.argument("space", type=int)
@click.confirmation_option("--yes", prompt="Its vectors are gone then, and made anew only by embedding; go on?")
@click.pass_context
def drop(context: click.Context, space: int) -> None:
    """Drop SPACE with all its vectors; the one that serves cannot be dropped."""
    chosen = _change(context, lambda spaces: spaces.drop(space))
    click.echo(f"Space {space} ({printable(chosen.record.stored.space.model)}) is dropped.")


def _change(context: click.Context, work: Callable[[SpaceSwitch], Awaitable[SpaceStatus]]) -> SpaceStatus:
    async def with_spaces(database: Database) -> SpaceStatus:
        return await work(SpaceSwitch(SpaceStore(database)))

    return run_with_database(context, with_spaces)
