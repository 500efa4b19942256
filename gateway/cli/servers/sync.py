"""`modelgate sync`: bringing the tools of servers into the catalogue."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator

import click

from gateway.access.tenants import Tenant
from gateway.app import Components
from gateway.catalog.server import ServerRecord
from gateway.catalog.sync.server_sync import OnProgress, SyncProgress, SyncReport
from gateway.cli.access.tenants import tenant_option
from gateway.cli.command import plain, tail
from gateway.cli.context import with_parts
from gateway.errors import ModelGateError

_SYNCS_AT_ONCE = 4

OnOutcome = Callable[[str], None]


@click.command()
@click.argument("names", nargs=-1, metavar="[SERVER]...")
@tenant_option
@click.pass_context
def sync(context: click.Context, names: tuple[str, ...], tenant: str) -> None:
    """Bring the tools of these servers, or of all, into the catalogue."""

    async def work(parts: Components, owner: Tenant) -> tuple[int, int]:
        if names:
            chosen = [await parts.servers.named(owner.id, name) for name in dict.fromkeys(names)]
        else:
            chosen = [server for server in await parts.servers.list(owner.id) if server.enabled]
        return await sync_servers(parts, chosen)

    done, failed = with_parts(context, tenant, work)
    if not done and not failed:
        click.echo("There are no servers to sync; add one with modelgate servers add.")
        return
    click.echo(f"{done} of {done + failed} servers are synced.")
    if failed:
        context.exit(1)


async def sync_servers(parts: Components, chosen: list[ServerRecord]) -> tuple[int, int]:
    """Sync servers, a few at a time, and say how each went; returns how many went well and how many did not."""
    limit = asyncio.Semaphore(_SYNCS_AT_ONCE)
    failed = 0

    with _progress(len(chosen)) as (tell, finish):

        async def one(server: ServerRecord) -> None:
            nonlocal failed
            async with limit:
                try:
                    report = await parts.sync.run(server.tenant_id, server.id, tell)
                except ModelGateError as error:
                    failed += 1
                    wrote = tail(parts.pool.status(server.id).stderr)
                    finish("\n".join([f"{plain(server.name)}: failed. {plain(error.message)}", *wrote]))
                else:
                    finish(_summary(report))

        await asyncio.gather(*(one(server) for server in chosen))
    return len(chosen) - failed, failed


def _summary(report: SyncReport) -> str:
    parts = [
        f"{len(names)} {word}"
        for names, word in ((report.added, "added"), (report.changed, "changed"), (report.removed, "removed"))
        if names
    ]
    parts.append(f"{report.unchanged} unchanged")
    lines = [f"{plain(report.server)}: {', '.join(parts)}, {report.embedded} texts embedded, {report.seconds:.1f} s."]
    lines += [f"  {plain(tool.name)} is left out: {plain(tool.reason)}" for tool in report.skipped]
    if report.quarantined:
        waiting = ", ".join(plain(name) for name in report.quarantined)
        lines.append(f"  Hidden until approved, see modelgate tools flags: {waiting}")
    if report.notice:
        lines.append(f"  {plain(report.notice)}")
    return "\n".join(lines)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[OnProgress, OnOutcome]]:
    """How progress and outcomes are shown: a bar on a terminal, plain lines of outcomes elsewhere."""
    if not sys.stdout.isatty():
        yield lambda _: None, click.echo
        return
    outcomes: list[str] = []
    with click.progressbar(length=total, label="Syncing", item_show_func=lambda item: item) as bar:

        def tell(progress: SyncProgress) -> None:
            counted = f" {progress.done}/{progress.total}" if progress.total else ""
            bar.update(0, plain(f"{progress.server}: {progress.step}{counted}", 60))

        def finish(outcome: str) -> None:
            outcomes.append(outcome)
            bar.update(1)

        yield tell, finish
    for outcome in outcomes:
        click.echo(outcome)
