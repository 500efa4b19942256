"""`modelgate tools example add|list|remove`: what people say when they mean a tool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant
from gateway.access.tool_names import tool_by_name
from gateway.cli.command_group import CommandGroup
from gateway.cli.component_runner import run_with_components
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import print_json, print_table, printable
from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from gateway.admin.services.tools.examples import ExampleService, ToolExamplesView
    from gateway.components import Components

_TEXT_CHARACTERS = 300


@click.group(cls=CommandGroup)
def example() -> None:
    """Say what people ask for when they mean a tool, and search finds it by that."""


@example.command("add")
@click.argument("name")
@click.argument("text")
@tenant_option
@click.pass_context
def add(context: click.Context, name: str, text: str, tenant: str) -> None:
    """Give the tool NAME an example: TEXT is what somebody asks for who means it."""

    async def work(service: ExampleService, tenant_id: int, tool_id: int) -> ToolExamplesView:
        from gateway.admin.services.tools.examples import ExampleInput

        return await service.add(tenant_id, tool_id, ExampleInput(text))

    _print_effect(f"{name} is found by that from the next search on.", _run(context, tenant, name, work))


@example.command("list")
@click.argument("name")
@tenant_option
@json_option
@click.pass_context
def list_examples(context: click.Context, name: str, tenant: str, *, as_json: bool) -> None:
    """List the examples of the tool NAME, those of people first."""

    async def work(service: ExampleService, tenant_id: int, tool_id: int) -> ToolExamplesView:
        return await service.list(tenant_id, tool_id)

    items = _run(context, tenant, name, work).items
    if as_json:
        print_json(items)
        return
    if not items:
        click.echo("It has no example.")
        return
    rows = [
        [str(each.id), each.source, each.state, str(each.calls), str(each.callers), printable(each.text, 300)]
        for each in items
    ]
    print_table(["ID", "SOURCE", "STATE", "CALLS", "CALLERS", "TEXT"], rows)


@example.command("remove")
@click.argument("name")
@click.argument("text")
@tenant_option
@click.pass_context
def remove(context: click.Context, name: str, text: str, tenant: str) -> None:
    """Take an example of the tool NAME away: by its TEXT, or its number as list shows it."""

    async def work(service: ExampleService, tenant_id: int, tool_id: int) -> ToolExamplesView:
        from gateway.catalog.examples.example_text import text_key

        items = (await service.list(tenant_id, tool_id)).items
        fitting = (each for each in items if str(each.id) == text or text_key(each.text) == text_key(text))
        found = next(fitting, None)
        if found is None:
            raise NotFoundError(
                f"{name} has no example {printable(text, _TEXT_CHARACTERS)!r}; modelgate tools example list shows them."
            )
        return await service.remove(tenant_id, tool_id, found.id)

    _print_effect("It has no effect from the next search on.", _run(context, tenant, name, work))


def _run(
    context: click.Context,
    tenant: str,
    name: str,
    work: Callable[[ExampleService, int, int], Awaitable[ToolExamplesView]],
) -> ToolExamplesView:
    async def find_and_work(components: Components, owner: Tenant) -> ToolExamplesView:
        from gateway.admin.services.tools.examples import ExampleService

        tool = await tool_by_name(components.database, owner.id, name)
        return await work(
            ExampleService(components.database, components.examples, components.learner), owner.id, tool.id
        )

    return run_with_components(context, tenant, find_and_work)


def _print_effect(sentence: str, view: ToolExamplesView) -> None:
    click.echo(printable(sentence, _TEXT_CHARACTERS))
    if view.delayed:
        click.echo(printable(f"It takes effect once the embedder answers: {view.delayed}", 500))
