"""`modelgate versions`: what syncs have changed at a server, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog_server
from gateway.cli.component_runner import run_with_server
from gateway.cli.options import in_tenant, json_option, tenant_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.errors import InvalidInputError

if TYPE_CHECKING:
    from gateway.catalog.review.tool_list_diff import ToolListDiff
    from gateway.catalog.review.versions import VersionRecord, Versions
    from gateway.components import Components

_LINE_CHARACTERS = 400


@click.group()
def versions() -> None:
    """Show and compare the versions of a server's tools, and pin it to one or go back."""


@versions.command("list")
@click.argument("server")
@tenant_option
@json_option
@click.pass_context
def list_versions(context: click.Context, server: str, tenant: str, *, as_json: bool) -> None:
    """List the versions of SERVER, newest first."""

    async def work(parts: CatalogParts, record: ServerRecord) -> list[VersionRecord]:
        return await _open_versions(parts).list(record.tenant_id, record.id)

    listed = run_with_catalog_server(context, tenant, server, work)
    if as_json:
        print_json(listed)
        return
    if not listed:
        click.echo(f"{server} has no version yet; bring its tools in with modelgate sync{in_tenant(tenant)}.")
        return
    print_table(
        ["VERSION", "TIME (UTC)", "TOOLS", "ADDED", "REMOVED", "CHANGED", "BREAKING", "STATE"],
        [
            [
                str(version.version),
                format_time(version.created_at),
                str(version.tool_count),
                str(len(version.added)),
                str(len(version.removed)),
                str(len(version.changed)),
                "yes" if version.breaking else "no",
                _format_state(version),
            ]
            for version in listed
        ],
    )


@versions.command()
@click.argument("server")
@click.argument("before", type=int, required=False)
@click.argument("after", type=int, required=False)
@tenant_option
@json_option
@click.pass_context
def diff(
    context: click.Context, server: str, before: int | None, after: int | None, tenant: str, *, as_json: bool
) -> None:
    """Show what leads from version BEFORE of SERVER to AFTER [default: from the last but one to the last]."""

    async def work(parts: CatalogParts, record: ServerRecord) -> tuple[int, int, ToolListDiff]:
        reader = _open_versions(parts)
        numbers = [version.version for version in await reader.list(record.tenant_id, record.id)]
        if before is None and len(numbers) < 2:
            raise InvalidInputError(f"{server} has {len(numbers)} version; there is nothing to compare yet.")
        one = numbers[1] if before is None else before
        other = after if after is not None else numbers[0]
        return one, other, await reader.diff(record.tenant_id, record.id, one, other)

    one, other, change = run_with_catalog_server(context, tenant, server, work)
    if as_json:
        print_json({"before": one, "after": other, "difference": change})
        return
    if not change:
        click.echo(f"Versions {one} and {other} of {server} have the same tools.")
        return
    renamed = dict(change.renamed)
    for name in change.removed_names:
        click.echo(printable(f"- {name}" + (f" (now called {renamed[name]})" if name in renamed else "")))
    for name in change.added_names:
        click.echo(printable(f"+ {name}"))
    for tool in change.changed:
        click.echo(printable(f"~ {tool.name}"))
        for field in tool.fields:
            click.echo(f"    {printable(field.describe(), _LINE_CHARACTERS)}")
    click.echo(
        f"From version {one} to {other}: {len(change.added)} added, {len(change.removed)} removed, "
        f"{len(change.changed)} changed; {'breaking' if change.breaking else 'nothing breaks'}."
    )


@versions.command()
@click.argument("server")
@click.argument("version", type=int, required=False)
@tenant_option
@click.pass_context
def pin(context: click.Context, server: str, version: int | None, tenant: str) -> None:
    """Keep offering VERSION of SERVER [default: the one offered now], whatever it lists."""

    async def work(components: Components, record: ServerRecord) -> int:
        found = await _open_versions(components).list(record.tenant_id, record.id)
        chosen = version or next((each.version for each in found if each.offered), None)
        if chosen is None:
            raise InvalidInputError(f"{server} has no version yet; sync it first.")
        await components.sync.restore(record.tenant_id, record.id, chosen)
        return chosen

    pinned = run_with_server(context, tenant, server, work)
    click.echo(f"{server} is pinned to the tools of version {pinned}.")


@versions.command()
@click.argument("server")
@tenant_option
@click.pass_context
def unpin(context: click.Context, server: str, tenant: str) -> None:
    """Offer what SERVER lists again, from its next sync on."""

    async def work(components: Components, record: ServerRecord) -> None:
        await components.sync.unpin(record.tenant_id, record.id)

    run_with_server(context, tenant, server, work)
    click.echo(f"{server} is no longer pinned; bring in what it lists now with modelgate sync{in_tenant(tenant)}.")


@versions.command()
@click.argument("server")
@click.argument("version", type=int, required=False)
@tenant_option
@click.pass_context
def rollback(context: click.Context, server: str, version: int | None, tenant: str) -> None:
    """Go back to VERSION of SERVER [default: the one before the one offered now], and pin the server to it."""

    async def work(components: Components, record: ServerRecord) -> tuple[int, int]:
        found = await _open_versions(components).list(record.tenant_id, record.id)
        applied = [each.version for each in found if each.applied]
        if version is None and len(applied) < 2:
            raise InvalidInputError(f"{server} has no earlier version to go back to.")
        chosen = version or applied[1]
        report = await components.sync.restore(record.tenant_id, record.id, chosen)
        return chosen, report.unchanged + len(report.added) + len(report.changed)

    chosen, tools = run_with_server(context, tenant, server, work)
    click.echo(
        f"{server} is back at version {chosen} with {tools} tools, and pinned to it; "
        "modelgate versions unpin lets it go on."
    )


def _format_state(version: VersionRecord) -> str:
    words = [
        "offered" if version.offered else "",
        "pinned" if version.pinned else "",
        "" if version.applied else "not taken over",
        f"back to {version.restores}" if version.restores is not None else "",
    ]
    return ", ".join(word for word in words if word)


def _open_versions(parts: CatalogParts | Components) -> Versions:
    # The help of a command needs nothing of what reads definitions, which takes long to import.
    from gateway.catalog.review.versions import Versions

    return Versions(parts.database)
