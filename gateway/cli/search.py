"""`modelgate search`: what a client with a role would find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gateway.access.caller import Caller
from gateway.access.roles import role_by_name
from gateway.access.tenants import tenant_by_slug
from gateway.cli.output import print_table, printable
from gateway.cli.runner import POOL_SIZE, load_command_settings, run_async

if TYPE_CHECKING:
    from gateway.search.request import FoundTool, SearchOutcome

_SHOWN_CHARACTERS = 70


@click.command()
@click.argument("query")
@click.option("--role", default="all", show_default=True, help="Search as a client with this role.")
@click.option("--max-results", type=int, help="How many tools to show [default: as the settings say]")
@click.option("--json", "as_json", is_flag=True, help="Print what the client would get.")
@click.pass_context
def search(context: click.Context, query: str, role: str, max_results: int | None, *, as_json: bool) -> None:
    """Find tools for QUERY."""
    from gateway.components import open_components
    from gateway.downstream.methods.search_answer import answer_format, format_search_answer
    from gateway.downstream.methods.tool_arguments import parse_search_arguments

    settings = load_command_settings(context, log_level="warning")
    # For one search it is not worth it to read the whole catalogue.
    settings = replace(settings, search=replace(settings.search, index="pgvector"))
    request, detail = parse_search_arguments({"query": query, "max_results": max_results}, settings.search.max_results)

    async def work() -> tuple[SearchOutcome, int]:
        async with open_components(settings, connections=POOL_SIZE) as components:
            tenant = await tenant_by_slug(components.database)
            role_record = await role_by_name(components.database, tenant.id, role)
            outcome = await components.finder.find(Caller(tenant.id, 0, "command line", (role_record.id,)), request)
            visible = await components.visibility.visible_tools(tenant.id, (role_record.id,))
            return outcome, visible.count

    outcome, visible = run_async(work)
    if as_json:
        click.echo(format_search_answer(request, outcome, answer_format(settings, detail)))
        return
    if outcome.notice:
        click.echo(outcome.notice, err=True)
    if outcome.tools:
        _print_tools(outcome.tools)
        click.echo(f"{len(outcome.tools)} of {outcome.total_found} found.")
    elif outcome.more:
        click.echo("No tool matches well; try other or more general words. The nearest are:")
        _print_tools(outcome.more)
    elif visible:
        click.echo("No tool matches; try other or more general words.")
    else:
        click.echo(f"The role {role!r} sees no tools yet; sync servers, or give it rules that let it see more.")


def _print_tools(tools: Sequence[FoundTool]) -> None:
    print_table(
        ["SCORE", "NAME", "SERVER", "DESCRIPTION"],
        [
            [
                f"{tool.match.score:.2f}",
                tool.exposed_name,
                printable(tool.server),
                printable(tool.description, _SHOWN_CHARACTERS),
            ]
            for tool in tools
        ],
    )
