"""`modelgate serve`: the gateway itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli.runner import load_command_settings, run_async
from gateway.cli.serving.worker_supervisor import SupervisorLink, WorkerPlace, WorkerSupervisor, open_worker_listener
from gateway.cli.setup_link import setup_link
from gateway.settings import Settings

if TYPE_CHECKING:
    import socket

    from gateway.components import Components


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that serve the port [default: server.workers]")
@click.option("--worker", "place", hidden=True, help="What a process that is one of several gets from who started it.")
@click.pass_context
def serve(context: click.Context, workers: int | None, place: str | None) -> None:
    """Run the gateway until it is stopped."""
    from gateway.cli.serving.http_server import open_listening_socket

    settings = load_command_settings(context)
    if place is not None:
        _serve_as_worker(settings, WorkerPlace.parse(place))
        return
    count = workers or settings.server.workers
    listener = open_listening_socket(settings)
    if count == 1:
        _serve(settings, listener, None)
        return
    with listener:
        run_async(WorkerSupervisor(listener, count, context.find_root().obj).run)


def _serve_as_worker(settings: Settings, place: WorkerPlace) -> None:
    _serve(settings, open_worker_listener(place), place)


def _serve(settings: Settings, listener: socket.socket, place: WorkerPlace | None) -> None:
    from gateway.cli.serving.http_server import serve_gateway

    supervisor = SupervisorLink(place) if place is not None else None

    async def announce(components: Components, url: str) -> None:
        if supervisor is not None:
            await supervisor.tell_ready()
        if place is not None and not place.announces:
            return
        click.echo(f"ModelGate is ready at {url} (MCP: {url}/mcp). Stop it with Ctrl+C.")
        link = await setup_link(components.database, settings, url)
        if link is not None:
            click.echo(f"There is no admin yet; within an hour, make the first at {link}")

    run_async(
        lambda: serve_gateway(settings, listener, announce, supervisor.wait_gone if supervisor is not None else None)
    )
