"""`modelgate serve`: the gateway itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli.runner import load_command_settings, run_async
from gateway.cli.setup_link import setup_link

if TYPE_CHECKING:
    from gateway.components import Components


@click.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run the gateway until it is stopped."""
    from gateway.cli.http_server import open_listening_socket, serve_gateway

    settings = load_command_settings(context)

    async def announce(components: Components, url: str) -> None:
        click.echo(f"ModelGate is ready at {url} (MCP: {url}/mcp). Stop it with Ctrl+C.")
        link = await setup_link(components.database, settings, url)
        if link is not None:
            click.echo(f"There is no admin yet; within an hour, make the first at {link}")

    listener = open_listening_socket(settings)
    run_async(lambda: serve_gateway(settings, listener, announce))
