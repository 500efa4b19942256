"""`modelgate sync`: bringing the tools of servers into the catalogue."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant
from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.component_runner import run_with_components
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import print_json, printable, stderr_tail
from gateway.errors import ModelGateError

if TYPE_CHECKING:
    from gateway.catalog.sync.server_sync import OnSyncProgress, Step, SyncProgress
    from gateway.catalog.sync.sync_result import SyncResult
    from gateway.components import Components

_SYNCS_AT_ONCE = 4

_STEPS: dict[Step, str] = {
    "start": "starting",
    "list": "list",
    "compare": "compare",
    "embed": "embed",
    "store": "store",
    "done": "done",
}

OnOutcome = Callable[[str], None]


@click.command()
@click.argument("names", nargs=-1, metavar="[SERVER]...")
@json_option
@tenant_option
@click.pass_context
def sync(context: click.Context, names: tuple[str, ...], tenant: str, *, as_json: bool) -> None:
    """Bring the tools of these servers, or of all, into the catalogue."""

    outcomes: list[SyncResult | FailedSync] = []

    async def work(components: Components, owner: Tenant) -> tuple[int, int]:
        if names:
            chosen = [await components.servers.get_by_name(owner.id, name) for name in dict.fromkeys(names)]
        else:
            chosen = [server for server in await components.servers.list(owner.id) if server.enabled]
        return await sync_servers(components, chosen, outcomes if as_json else None)

    done, failed = run_with_components(context, tenant, work)
    if as_json:
        print_json(outcomes)
        context.exit(1 if failed else 0)
    if not done and not failed:
        click.echo("There are no servers to sync; add one with modelgate servers add.")
        return
    click.echo(f"{done} of {done + failed} servers are synced.")
    if failed:
        context.exit(1)


@dataclass(frozen=True, slots=True)
class FailedSync:
    """A sync that failed, and why."""

    server: str
    error: str
    code: str


async def sync_servers(
    components: Components, chosen: list[ServerRecord], outcomes: list[SyncResult | FailedSync] | None = None
) -> tuple[int, int]:
    """Sync servers, a few at a time, and say how each went, or put it into `outcomes`; returns how many went well and
    how many did not.
    """
    limit = asyncio.Semaphore(_SYNCS_AT_ONCE)
    failed = 0

    display = _progress_display(len(chosen)) if outcomes is None else _no_display()
    with display as (show_progress, show_outcome):

        async def sync_one(server: ServerRecord) -> None:
            nonlocal failed
            async with limit:
                try:
                    result = await components.sync.run(server.tenant_id, server.id, show_progress)
                except ModelGateError as error:
                    failed += 1
                    if outcomes is not None:
                        outcomes.append(FailedSync(server.name, error.message, error.error_code))
                    tail = stderr_tail(components.pool.status(server.id).stderr)
                    show_outcome("\n".join([f"{printable(server.name)}: failed. {printable(error.message)}", *tail]))
                else:
                    if outcomes is not None:
                        outcomes.append(result)
                    show_outcome(_format_result(result))

        await asyncio.gather(*(sync_one(server) for server in chosen))
    return len(chosen) - failed, failed


def _format_result(result: SyncResult) -> str:
    counts = [
        f"{len(names)} {word}"
        for names, word in ((result.added, "added"), (result.changed, "changed"), (result.removed, "removed"))
        if names
    ]
    counts.append(f"{result.unchanged} unchanged")
    lines = [
        f"{printable(result.server)}: {', '.join(counts)}, {result.embedded} texts embedded, {result.seconds:.1f} s."
    ]
    lines += [f"  {printable(tool.name)} is left out: {printable(tool.reason)}" for tool in result.skipped]
    if result.quarantined:
        quarantined = ", ".join(printable(name) for name in result.quarantined)
        lines.append(f"  Hidden until approved, see modelgate tools flags: {quarantined}")
    if result.notice:
        lines.append(f"  {printable(result.notice)}")
    return "\n".join(lines)


def _echo_start(progress: SyncProgress) -> None:
    if progress.step == "start":
        detail = f": {progress.detail}" if progress.detail else " …"
        click.echo(printable(f"{progress.server} is starting{detail}"), err=True)


@contextlib.contextmanager
def _no_display() -> Iterator[tuple[OnSyncProgress, OnOutcome]]:
    yield (lambda _progress: None), (lambda _outcome: None)


@contextlib.contextmanager
def _progress_display(total: int) -> Iterator[tuple[OnSyncProgress, OnOutcome]]:
    """How progress and outcomes are shown: a bar on a terminal; elsewhere plain lines of outcomes, and of servers that
    take long to start, for their installation may.
    """
    if not sys.stdout.isatty():
        yield _echo_start, click.echo
        return
    outcomes: list[str] = []
    with click.progressbar(length=total, label="Syncing", item_show_func=lambda item: item) as bar:

        def show_progress(progress: SyncProgress) -> None:
            count = f" {progress.done}/{progress.total}" if progress.total else ""
            detail = f": {progress.detail}" if progress.detail else ""
            bar.update(0, printable(f"{progress.server}: {_STEPS[progress.step]}{count}{detail}", 60))

        def show_outcome(outcome: str) -> None:
            outcomes.append(outcome)
            bar.update(1)

        yield show_progress, show_outcome
    for outcome in outcomes:
        click.echo(outcome)
