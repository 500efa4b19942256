"""`modelgate servers check`: whether a server answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.catalog.server_record import ServerRecord
from gateway.cli.component_runner import run_with_server
from gateway.cli.options import tenant_option
from gateway.cli.output import printable, stderr_tail

if TYPE_CHECKING:
    from gateway.components import Components
    from gateway.upstream.status import ServerStatus


@click.command()
@click.argument("name")
@tenant_option
@click.pass_context
def check(context: click.Context, name: str, tenant: str) -> None:
    """Connect to a server and ask whether it is there."""

    async def work(components: Components, server: ServerRecord) -> ServerStatus:
        from gateway.catalog.sync.health_check import HealthChecks

        status = await components.pool.check(await components.servers.spec(server.tenant_id, server.id))
        health = HealthChecks(
            components.database, components.servers, components.pool, components.sync, components.settings.upstream
        )
        await health.record_health(server.tenant_id, server.id, status)
        return status

    status = run_with_server(context, tenant, name, work)
    if status.last_error is not None:
        click.echo(printable(status.last_error), err=True)
        for line in stderr_tail(status.stderr):
            click.echo(line, err=True)
        context.exit(1)
    click.echo(f"{name} answers in {status.latency_ms or 0:.1f} ms.")
