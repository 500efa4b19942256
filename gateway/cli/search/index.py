"""`modelgate index`: the indexes that searches use in an OpenSearch cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from gateway.cli.options import json_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.cli.runner import POOL_SIZE, ResultT, load_command_settings, run_async
from gateway.database.pool import open_database

if TYPE_CHECKING:
    from gateway.search.index.opensearch.index_overview import ClusterView, IndexCard, IndexOverview


@click.group()
def index() -> None:
    """Look at the indexes that searches use in an OpenSearch cluster, build them anew, and drop them.

    A gateway that runs follows at once.
    """


@index.command("status")
@json_option
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Show the cluster, each index in it, and how far it is behind the catalogue."""
    view = _run(context, lambda overview: overview.view())
    if as_json:
        print_json(view)
    else:
        _print_view(view)
    if view.failure:
        context.exit(1)


@index.command("rebuild")
@click.argument("space", type=int, required=False)
@click.pass_context
def rebuild(context: click.Context, space: int | None) -> None:
    """Have a new index filled for SPACE [default: the one that serves]; the old one serves until it is full."""
    chosen = _run(context, lambda overview: overview.rebuild(space))
    click.echo(
        f"A new index of space {chosen.id} ({printable(chosen.space.model)}) is filled by the gateway that runs, and "
        "takes the old one's place then; modelgate index status shows how far it is."
    )


@index.command("drop")
@click.argument("name", required=False)
@click.confirmation_option("--yes", prompt="PostgreSQL answers until they are built anew; go on?")
@click.pass_context
def drop(context: click.Context, name: str | None) -> None:
    """Delete the index NAME from the cluster [default: all of this gateway's].

    A gateway that runs with them builds new ones: to leave for good, set search.index to another one first.
    """
    dropped = _run(context, lambda overview: overview.drop(name), also_left=True)
    click.echo(f"Dropped: {', '.join(map(printable, dropped))}." if dropped else "There was none.")


def _print_view(view: ClusterView) -> None:
    urls = ", ".join(map(printable, view.urls))
    if view.failure:
        click.echo(f"The cluster at {urls} cannot be asked: {printable(view.failure)}", err=True)
    else:
        click.echo(f"OpenSearch {printable(view.version)} at {urls}")
    feed = view.feed
    if feed is None:
        click.echo("No gateway has written to it yet; modelgate serve does.")
    elif feed.silent:
        click.echo(f"No gateway writes to it; one did until {format_time(feed.reported_at)} UTC.")
    elif feed.failure:
        click.echo(f"It does not follow the catalogue: {printable(feed.failure)}")
    elif feed.tenants_behind:
        click.echo(f"It is {feed.seconds:.1f} s behind, for {feed.tenants_behind} tenants.")
    else:
        click.echo("It is up to date.")
    if not view.indexes:
        if not view.failure:
            click.echo("There is no index yet; PostgreSQL answers.")
        return
    print_table(
        ["INDEX", "SPACE", "MODEL", "STATE", "HEALTH", "DOCUMENTS", "BEHIND", "SIZE"],
        [
            [
                printable(each.name),
                str(each.space),
                printable(each.model),
                each.state if each.state == "serving" else f"{each.state} {each.progress:.0%}",
                printable(each.health),
                f"{'unknown' if each.failure else each.documents} of {each.tools}",
                _behind(each),
                f"{each.bytes / 1e6:.1f} MB",
            ]
            for each in view.indexes
        ],
    )


def _behind(index: IndexCard) -> str:
    if index.failure:
        return printable(index.failure)
    return f"{index.changes_behind} tools of {index.tenants_behind} tenants" if index.tenants_behind else "0"


def _run(
    context: click.Context, work: Callable[[IndexOverview], Awaitable[ResultT]], *, also_left: bool = False
) -> ResultT:
    from gateway.search.index.opensearch.index_overview import open_overview

    settings = load_command_settings(context, log_level="warning")

    async def open_and_work() -> ResultT:
        async with (
            open_database(settings, size=POOL_SIZE) as database,
            open_overview(database, settings, also_left=also_left) as overview,
        ):
            return await work(overview)

    return run_async(open_and_work)
