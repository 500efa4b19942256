"""`modelgate demo`: what is started, and how to ask it for a tool."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.review.approval import Approvals
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.cli.demo.servers import install_demo
from gateway.cli.runner import load_command_settings, run_async
from gateway.cli.servers.sync import sync_servers
from gateway.cli.setup_link import public_url, setup_link
from gateway.errors import CredentialError

if TYPE_CHECKING:
    from gateway.components import Components

_KEY_FILE = "key"
_QUERY = "calculate math expressions"


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Run the gateway with real MCP servers, and print how to ask it for a tool."""
    from gateway.cli.serving.http_server import open_listening_socket, serve_gateway

    settings = load_command_settings(context, log_level="warning")

    async def prepare(components: Components, url: str) -> None:
        await _add_demo_servers(components)
        key = await _read_or_create_key(components)
        link = await setup_link(components.database, settings, url)
        click.echo(_format_instructions(url, key, link or public_url(settings, url)))

    listener = open_listening_socket(settings)
    run_async(lambda: serve_gateway(settings, listener, prepare))


async def _add_demo_servers(components: Components) -> None:
    """Install the demo's servers, and sync those that are not in the catalogue yet."""
    tenant = await tenant_by_slug(components.database)
    installed = await install_demo(components.settings.data_dir / "demo", click.echo)
    known = {server.name for server in await components.servers.list(tenant.id)}
    for server in installed:
        if server.name not in known:
            new = ServerDefinition(
                name=server.name,
                transport="stdio",
                command=server.command,
                args=server.args,
                env=server.env,
                description=server.description,
            )
            await components.servers.add(tenant.id, new)
    names = {server.name for server in installed}
    unsynced = [
        server
        for server in await components.servers.list(tenant.id)
        if server.name in names and (server.synced_at is None or server.sync_error is not None)
    ]
    if unsynced:
        await sync_servers(components, unsynced)
        # What these servers say is known, and two of them have a tool of the same name.
        for synced in unsynced:
            await Approvals(components.database).approve(tenant.id, synced.id)


async def _read_or_create_key(components: Components) -> str:
    """The key of the demo, kept in a file that only its owner can read: the same at every start for as long as it
    opens this gateway.
    """
    path: Path = components.settings.data_dir / "demo" / _KEY_FILE
    if path.is_file():
        key = path.read_text(encoding="utf-8", errors="replace").strip()
        # It may have been revoked meanwhile, or be of a database that was there before.
        with contextlib.suppress(CredentialError):
            await components.keys.authenticate(key)
            return key
    tenant = await tenant_by_slug(components.database)
    new = await components.keys.create(tenant.id, "demo", ["all"])
    written = path.with_name(f"{_KEY_FILE}.new")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(new.key + "\n")
    written.replace(path)
    return new.key


def _format_instructions(url: str, key: str, interface: str) -> str:
    """What to do with a demo that is ready."""
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "tool_search", "arguments": {"query": _QUERY}},
        }
    )
    return (
        f"\nModelGate is ready.\n  Web interface: {interface}\n  MCP endpoint:  {url}/mcp\n  API key:       {key}\n\n"
        "Ask it for a tool:\n\n"
        f"curl -s {url}/mcp -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'\n\n"
        "Stop it with Ctrl+C."
    )
