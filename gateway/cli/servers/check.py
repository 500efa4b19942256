"""`modelgate servers check`: whether a server answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.component_runner import run_with_server
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import print_json, printable, stderr_tail

if TYPE_CHECKING:
    from gateway.components import Components
    from gateway.upstream.spec import ServerSpec
    from gateway.upstream.status import ServerStatus


@click.command()
@click.argument("name")
@tenant_option
@json_option
@click.pass_context
def check(context: click.Context, name: str, tenant: str, *, as_json: bool) -> None:
    """Connect to a server from here, apart from the gateway, and ask whether it is there."""

    async def work(components: Components, server: ServerRecord) -> tuple[ServerSpec, ServerStatus]:
        # What comes of it is not kept: on the gateway's own PATH, in its environment, the same command may fail.
        spec = await components.servers.spec(server.tenant_id, server.id)
        return spec, await components.pool.check(spec)

    spec, status = run_with_server(context, tenant, name, work)
    if as_json:
        print_json({"server": name, "latency_ms": status.latency_ms, "error": status.last_error})
        context.exit(1 if status.last_error is not None else 0)
    if status.last_error is not None:
        click.echo(printable(status.last_error), err=True)
        for line in stderr_tail(status.stderr):
            click.echo(line, err=True)
        context.exit(1)
    started = " when started from this shell" if spec.transport == "stdio" else ""
    click.echo(f"{name} answers in {status.latency_ms or 0:.1f} ms{started}.")
