"""`modelgate learn status|forget`: what searches have learnt from the calls that followed them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant
from gateway.access.tool_names import tool_by_name
from gateway.cli.component_runner import run_with_components
from gateway.cli.options import json_option, parse_time, tenant_option
from gateway.cli.output import print_json, print_table

if TYPE_CHECKING:
    from gateway.admin.services.learning import Forgotten, LearningService, LearningStatus
    from gateway.components import Components

_MODES = {
    "off": "Nothing is learnt from use.",
    "observe": 'Calls that follow searches are counted and have no effect; learn.from_use = "on" lets them have it.',
    "on": "Searches go by the calls that followed earlier ones.",
}


@click.group()
def learn() -> None:
    """Show what searches have learnt from the calls that followed them, and forget it."""


@learn.command()
@tenant_option
@json_option
@click.pass_context
def status(context: click.Context, tenant: str, *, as_json: bool) -> None:
    """Show how much is learnt, from what, and what has effect."""

    async def work(components: Components, owner: Tenant) -> LearningStatus:
        return await _service(components).status(owner.id)

    found = run_with_components(context, tenant, work)
    if as_json:
        print_json(found)
        return
    click.echo(_MODES[found.from_use])
    click.echo(f"An example has effect from {found.min_calls} calls or {found.min_callers} callers on.")
    click.echo(f"{found.raised_tools} tools are ranked by their examples.")
    if found.examples:
        rows = [
            [each.source, each.state, str(each.examples), str(each.tools), str(each.calls)] for each in found.examples
        ]
        print_table(["SOURCE", "STATE", "EXAMPLES", "TOOLS", "CALLS"], rows)


@learn.command()
@click.option("--tool", help="Of this tool alone, by its name.")
@click.option(
    "--caller",
    help='From the calls of this caller: a key by number or name, or a person, if need be as "SUBJECT of ISSUER".',
)
@click.option("--before", callback=parse_time, help="What was not said since: 2026-01-31, or 30d for so long ago.")
@click.option("--all", "everything", is_flag=True, help="All that was learnt from use.")
@tenant_option
@click.pass_context
def forget(
    context: click.Context,
    tool: str | None,
    caller: str | None,
    before: datetime | None,
    tenant: str,
    *,
    everything: bool,
) -> None:
    """Forget what was learnt from use, for good; the next search goes without it."""
    narrowed = any(each is not None for each in (tool, caller, before))
    if narrowed == everything:
        raise click.UsageError("Say what to forget: --tool, --caller or --before, or --all alone.")

    async def work(components: Components, owner: Tenant) -> Forgotten:
        from gateway.admin.services.learning import ForgetInput

        tool_id = None if tool is None else (await tool_by_name(components.database, owner.id, tool)).id
        wanted = ForgetInput(tool_id, caller=caller, before=before, everything=everything)
        return await _service(components).forget(owner.id, wanted)

    forgotten = run_with_components(context, tenant, work)
    click.echo("1 text is forgotten." if forgotten.examples == 1 else f"{forgotten.examples} texts are forgotten.")
    if forgotten.lessened:
        click.echo(f"{forgotten.lessened} that others have said as well count by what those said.")


def _service(components: Components) -> LearningService:
    from gateway.admin.services.learning import LearningService
    from gateway.search.learning.example_weight import example_rules
    from gateway.search.learning.forgetting import Forgetting
    from gateway.search.learning.observation import Observation

    rules = example_rules(components.settings)
    return LearningService(
        components.database,
        components.spaces,
        rules,
        Forgetting(components.database, components.examples),
        components.learner,
        Observation(components.database, components.spaces, components.index, rules),
    )
