"""`modelgate tools list|show|disable|enable|override`: the tools of a tenant, and what an admin says of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

import click

from gateway.access.tenants import Tenant
from gateway.access.tool_names import tool_by_name
from gateway.catalog.category import CATEGORIES
from gateway.catalog.review.approval import Approvals, ToolReview
from gateway.catalog.servers.server_record import server_record_by_name
from gateway.catalog.tool_state import ToolState
from gateway.cli.component_runner import run_with_components
from gateway.cli.options import tenant_option
from gateway.cli.output import print_table, printable
from gateway.cli.runner import run_with_tenant
from gateway.database.pool import Database

if TYPE_CHECKING:
    from gateway.admin.services.tools.override_views import OverrideView
    from gateway.admin.services.tools.tools import ToolDetail, ToolListItem
    from gateway.components import Components

_PAGE = 500
_LINE_CHARACTERS = 300

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("list")
@click.option("--server", help="Only tools of this server, by its name or slug.")
@click.option(
    "--state",
    type=click.Choice(get_args(ToolState)),
    default="present",
    show_default=True,
    help="Only tools like this.",
)
@click.option("--category", type=click.Choice(CATEGORIES), help="Only tools of this category.")
@click.option("--text", help="Only tools with this in their name or description.")
@click.option(
    "--sort",
    type=click.Choice(("name", "server", "category", "changed")),
    default="name",
    show_default=True,
    help="The order; changed: the latest change first.",
)
@_json_option
@tenant_option
@click.pass_context
def list_tools(
    context: click.Context,
    server: str | None,
    state: Any,
    category: Any,
    text: str | None,
    sort: Any,
    as_json: bool,
    tenant: str,
) -> None:
    """List the tools of the catalogue."""

    async def work(database: Database, tenant_id: int) -> list[ToolListItem]:
        from gateway.admin.services.tools.tools import ToolFilter, ToolService

        server_id = None if server is None else (await server_record_by_name(database, tenant_id, server)).id
        service = ToolService(database)
        found: list[ToolListItem] = []
        cursor: str | None = None
        while True:
            page = await service.list(
                tenant_id, ToolFilter(text, server_id, category, state, sort=sort, cursor=cursor, limit=_PAGE)
            )
            found += page.items
            cursor = page.next
            if cursor is None:
                return found

    found = run_with_tenant(context, tenant, work)
    if as_json:
        click.echo(json.dumps([asdict(tool) for tool in found], indent=2, ensure_ascii=False, default=str))
        return
    if not found:
        click.echo("No tool is like that.")
        return
    rows = [[tool.exposed_name, printable(tool.server_name, 60), tool.category, _state_of(tool)] for tool in found]
    print_table(["NAME", "SERVER", "CATEGORY", "STATE"], rows)


@click.command()
@click.argument("name")
@_json_option
@tenant_option
@click.pass_context
def show(context: click.Context, name: str, as_json: bool, tenant: str) -> None:
    """Show all of the tool NAME: an exposed name, or server/tool."""

    async def work(
        database: Database, tenant_id: int
    ) -> tuple[ToolDetail, tuple[OverrideView, ...], ToolReview | None]:
        from gateway.admin.services.tools.override_views import override_views
        from gateway.admin.services.tools.tools import ToolService

        tool_id = (await tool_by_name(database, tenant_id, name)).id
        detail = await ToolService(database).get(tenant_id, tool_id)
        reviews = await Approvals(database).list(tenant_id, detail.server_id, tool=detail.name)
        review = next((each for each in reviews if each.id == tool_id), None)
        return detail, await override_views(database, tenant_id, tool_id), review

    tool, overrides, review = run_with_tenant(context, tenant, work)
    if as_json:
        flags = () if review is None else review.flags
        shown = {
            **asdict(tool),
            "quarantine": None if review is None else review.quarantine,
            "flags": [asdict(each) for each in flags],
            "overrides": [asdict(each) for each in overrides],
        }
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False, default=str))
        return
    click.echo(printable(f"{tool.exposed_name}: {tool.name} of {tool.server_name}, {tool.category}"))
    if tool.disabled_at is not None:
        click.echo("  It is disabled.")
    if tool.removed_at is not None:
        click.echo("  Its server does not list it any more.")
    if review is not None:
        _print_review(review)
    if tool.title and tool.title != tool.description:
        click.echo(printable(f"  {tool.title}", _LINE_CHARACTERS))
    click.echo(printable(f"  {tool.description or 'Its server gives no description.'}", 1_000))
    if tool.proposed_category not in (None, tool.category):
        click.echo(f"  Its text reads like {tool.proposed_category}; modelgate tools override --category sets that.")
    for role in tool.roles:
        click.echo(printable(f"  {role.role}: {role.visibility}", _LINE_CHARACTERS))
    for override in overrides:
        _print_override(override, "  ")


def _print_review(review: ToolReview) -> None:
    if review.quarantine is not None:
        click.echo(printable(f"  Quarantined: {review.quarantine}", _LINE_CHARACTERS))
    if review.changed:
        click.echo("  It has changed since it was approved; modelgate tools flags shows how.")
    for flag in review.flags:
        if not flag.dismissed:
            click.echo(printable(f"  Flagged: {flag.reason}", _LINE_CHARACTERS))


@click.command()
@click.argument("name")
@tenant_option
@click.pass_context
def disable(context: click.Context, name: str, tenant: str) -> None:
    """Switch the tool NAME off: no client lists or finds it, and a call says so."""
    _switch(context, tenant, name, enabled=False)
    click.echo(printable(f"{name} is disabled; modelgate tools enable switches it on again."))


@click.command()
@click.argument("name")
@tenant_option
@click.pass_context
def enable(context: click.Context, name: str, tenant: str) -> None:
    """Switch the tool NAME on again; its rules hold as before."""
    _switch(context, tenant, name, enabled=True)
    click.echo(printable(f"{name} is enabled."))


@click.command()
@click.argument("name")
@click.option("--name", "new_name", help="The whole name that clients see and call.")
@click.option("--title", help="The title.")
@click.option("--description", help="The description.")
@click.option("--category", type=click.Choice(CATEGORIES), help="The category.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=TEXT",
    help="The description of a parameter; may be given several times.",
)
@click.option("--profile", help="Only at the endpoint of this profile.")
@click.option("--reset", is_flag=True, help="Take the whole override away: what the server says holds again.")
@tenant_option
@click.pass_context
def override(
    context: click.Context,
    name: str,
    new_name: str | None,
    title: str | None,
    description: str | None,
    category: str | None,
    parameters: tuple[str, ...],
    profile: str | None,
    reset: bool,
    tenant: str,
) -> None:
    """Call and describe the tool NAME otherwise than its server does; what is not given stays as it is."""
    given = {"name": new_name, "title": title, "description": description, "category": category}
    given = {field: value for field, value in given.items() if value is not None}
    described = dict(_split_parameter(each) for each in parameters)
    if reset == bool(given or described):
        raise click.UsageError("Give what to override, or --reset alone.")

    async def work(components: Components, owner: Tenant) -> OverrideView | None:
        from gateway.admin.services.tools.overrides import OverrideInput, OverrideService

        service = OverrideService(components.database, components.spaces)
        tool_id = (await tool_by_name(components.database, owner.id, name)).id
        profile_id = None if profile is None else (await components.profiles.by_name(owner.id, profile)).id
        if reset:
            await service.remove(owner.id, tool_id, profile_id)
            return None
        now = next((each for each in await service.list(owner.id, tool_id) if each.profile_id == profile_id), None)
        fields = {} if now is None else {field: getattr(now, field) for field in _FIELDS}
        known = {} if now is None else dict(now.parameters)
        wanted = OverrideInput(**{**fields, **given}, parameters={**known, **described}, profile_id=profile_id)
        views = await service.set(owner.id, tool_id, wanted)
        return next(each for each in views if each.profile_id == profile_id)

    view = run_with_components(context, tenant, work)
    if view is None:
        click.echo(printable(f"{name} is as its server says."))
        return
    _print_override(view)


_FIELDS = ("name", "title", "description", "category")


def _switch(context: click.Context, tenant: str, name: str, *, enabled: bool) -> None:
    async def work(database: Database, tenant_id: int) -> None:
        from gateway.catalog.overrides.tool_switch import set_tool_enabled

        await set_tool_enabled(database, tenant_id, (await tool_by_name(database, tenant_id, name)).id, enabled=enabled)

    run_with_tenant(context, tenant, work)


def _split_parameter(text: str) -> tuple[str, str]:
    name, separator, description = text.partition("=")
    if not separator:
        raise click.BadParameter(f"{text[:100]!r} is no NAME=TEXT.", param_hint="--parameter")
    return name, description


def _state_of(tool: ToolListItem) -> str:
    states = [
        ("removed", tool.removed_at is not None),
        ("server disabled", not tool.server_enabled),
        ("disabled", tool.disabled_at is not None),
        ("quarantined", tool.quarantine is not None),
        ("flagged", tool.flags > 0),
        ("changed", tool.changed),
        ("no vectors", not tool.embedded),
        ("pinned", tool.pinned),
        ("overridden", tool.overridden),
    ]
    return ", ".join(state for state, holds in states if holds) or "active"


def _print_override(view: OverrideView, indent: str = "") -> None:
    where = f"at profile {view.profile}" if view.profile is not None else "everywhere"
    click.echo(f"{indent}{printable(f'Overridden {where}:')}")
    lines = [f"{field}: {getattr(view, field)}" for field in _FIELDS if getattr(view, field) is not None]
    lines += [f"{name}: {text}" for name, text in view.parameters.items()]
    lines += [
        f"The server has changed {change.field}: {change.before!r} is now {change.now!r}."
        for change in view.upstream_changes
    ]
    for line in lines:
        click.echo(f"{indent}  {printable(line, _LINE_CHARACTERS)}")
