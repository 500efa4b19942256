"""`modelgate search`: what a client with a role would find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gateway.access.roles import role_by_name
from gateway.access.tenants import tenant_by_slug
from gateway.catalog.category import CATEGORIES
from gateway.cli.output import print_table, printable
from gateway.cli.runner import POOL_SIZE, load_command_settings, run_async
from gateway.database.pool import open_database

if TYPE_CHECKING:
    from gateway.search.request import FoundTool, SearchOutcome
    from gateway.search.search_explanation import SearchExplanation

_SHOWN_CHARACTERS = 70


@click.command()
@click.argument("query")
@click.option("--role", default="all", show_default=True, help="Search as a client with this role.")
@click.option("--max-results", type=int, help="How many tools to show [default: as the settings say]")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Leave out what scores below [default: as the settings say]"
)
@click.option("--server", metavar="NAME", help="Only tools of this server.")
@click.option("--category", type=click.Choice(CATEGORIES), help="Only tools of this kind.")
@click.option("--explain", is_flag=True, help="Say why each tool is where it is, and what examples did.")
@click.option("--json", "as_json", is_flag=True, help="Print what the client would get.")
@click.pass_context
def search(
    context: click.Context,
    query: str,
    role: str,
    max_results: int | None,
    threshold: float | None,
    server: str | None,
    category: str | None,
    *,
    explain: bool,
    as_json: bool,
) -> None:
    """Find tools for QUERY."""
    if explain and as_json:
        raise click.UsageError("--json prints what the client would get, which --explain is no part of; leave out one.")
    # All components together take three times as long to import and open.
    from gateway.access.caller import Caller
    from gateway.database.notices import Notices
    from gateway.downstream.methods.tools.search_answer import answer_format, format_search_answer
    from gateway.downstream.methods.tools.tool_arguments import parse_search_arguments
    from gateway.search.finder import MAX_MORE
    from gateway.search.search_parts import open_search

    settings = load_command_settings(context, log_level="warning")
    # For one search it is not worth it to read the whole catalogue.
    threshold = settings.search.threshold if threshold is None else threshold
    settings = replace(settings, search=replace(settings.search, index="pgvector", threshold=threshold))
    given = {"query": query, "max_results": max_results, "server": server, "category": category}
    request, detail = parse_search_arguments(given, settings.search.max_results)

    async def work() -> tuple[SearchOutcome, int, SearchExplanation | None]:
        async with (
            open_database(settings, size=POOL_SIZE) as database,
            open_search(settings, database, Notices(database), patience_seconds=None) as parts,
        ):
            tenant = await tenant_by_slug(database)
            role_record = await role_by_name(database, tenant.id, role)
            caller = Caller(tenant.id, 0, "command line", (role_record.id,))
            explanation = await parts.finder.explain(caller, request, MAX_MORE) if explain else None
            outcome = explanation.outcome if explanation is not None else await parts.finder.find(caller, request)
            visible = await parts.visibility.visible_tools(tenant.id, (role_record.id,))
            return outcome, visible.count, explanation

    outcome, visible, explanation = run_async(work)
    if as_json:
        click.echo(format_search_answer(request, outcome, answer_format(settings, detail)))
        return
    if outcome.notice:
        click.echo(outcome.notice, err=True)
    if explanation is not None and explanation.tools:
        _print_explanation(explanation)
    elif outcome.tools:
        _print_tools(outcome.tools)
        click.echo(f"{len(outcome.tools)} of {outcome.total_found} found.")
    elif outcome.more:
        click.echo("No tool matches well; try other or more general words. The nearest are:")
        _print_tools(outcome.more)
    elif visible:
        click.echo("No tool matches; try other or more general words.")
    else:
        click.echo(f"The role {role!r} sees no tools yet; sync servers, or give it rules that let it see more.")


def _print_explanation(explanation: SearchExplanation) -> None:
    from gateway.admin.services.playground import describe_effect

    names = {tool.match.tool_id: tool.exposed_name for tool in (*explanation.outcome.tools, *explanation.outcome.more)}
    rows = []
    for tool in explanation.tools:
        if tool.tool_id not in names:
            continue
        measured = tool.measured
        cosine = "" if measured is None or measured.cosine is None else f"{measured.cosine:.2f}"
        words = "" if measured is None else f"{measured.lexical:.1f}"
        effect = describe_effect(tool.learnt).strip()
        rows.append([f"{tool.score:.2f}", names[tool.tool_id], tool.outcome, cosine, words, effect])
    print_table(["SCORE", "NAME", "OUTCOME", "SIMILARITY", "WORDS", "EXAMPLES"], rows)


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
