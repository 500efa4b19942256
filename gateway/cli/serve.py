"""`modelgate serve`, `demo` and `migrate`: the gateway itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import click
import uvicorn

from gateway.access.tenants import tenant_by_slug
from gateway.admin.accounts.setup import new_setup_token
from gateway.app import Components, Gateway, open_components
from gateway.catalog.server import NewServer
from gateway.cli.command import run, settings_of
from gateway.cli.demo_servers import install_demo
from gateway.cli.servers.sync import sync_servers
from gateway.database.actor import GATEWAY, acting_as
from gateway.database.pool import open_database
from gateway.errors import SettingsError
from gateway.settings import Settings

_BACKLOG = 2048
_STOP_SECONDS = 5
_KEY_FILE = "key"
_DEMO_QUERY = "calculate math expressions"


@click.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run the gateway until it is stopped."""
    settings = settings_of(context)

    async def said(parts: Components, url: str) -> None:
        click.echo(f"ModelGate is ready at {url} (MCP: {url}/mcp). Stop it with Ctrl+C.")
        token = await new_setup_token(parts.database)
        if token is not None:
            open_at = settings.admin.public_url.rstrip("/") or url
            click.echo(f"There is no admin yet; within an hour, make the first at {open_at}/setup?token={token}")

    listening = _listen(settings)
    run(lambda: _serve(settings, listening, said))


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Run the gateway with real MCP servers, and print how to ask it for a tool."""
    settings = settings_of(context, log_level="warning")

    async def said(parts: Components, url: str) -> None:
        await _fill(parts)
        key = await _demo_key(parts)
        click.echo(_demo_words(url, key))

    listening = _listen(settings)
    run(lambda: _serve(settings, listening, said))


@click.command()
@click.pass_context
def migrate(context: click.Context) -> None:
    """Bring the database schema up to date; serve does this too."""
    settings = settings_of(context, log_level="warning")

    async def work() -> str:
        async with open_database(settings, size=2) as database:
            rows = await database.fetch("applied_migrations")
            return str(rows[-1]["name"])

    click.echo(f"The database schema is up to date ({run(work)}).")


def _listen(settings: Settings) -> socket.socket:
    """Take the port before anything else is started. Raises SettingsError when it cannot be had."""
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); stop what uses it, or set "
            "server.port to another port."
        ) from None
    return listening


async def _serve(
    settings: Settings, listening: socket.socket, when_ready: Callable[[Components, str], Awaitable[None]]
) -> None:
    # From here on it is not the person who started it that acts.
    with listening, acting_as(GATEWAY):
        async with open_components(settings) as parts:
            server = _Server(
                uvicorn.Config(
                    Gateway(parts).application(),
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    timeout_graceful_shutdown=_STOP_SECONDS,
                )
            )
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            saying = asyncio.create_task(server.say(lambda: when_ready(parts, _url(settings, listening))))
            await serving
            saying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await saying


class _Server(uvicorn.Server):
    """Tells when requests are answered, ends when what is done then fails, and leaves signals at that.

    Uvicorn would raise a signal again after it has stopped serving, which would end the process before the database and
    the upstream servers are stopped.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        # Not taken back: what is left to stop is stopped in any case.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def say(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        await self._ready.wait()
        try:
            await when_ready()
        except BaseException:
            self.should_exit = True
            raise


def _url(settings: Settings, listening: socket.socket) -> str:
    host = settings.server.host
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{shown}:{listening.getsockname()[1]}"


async def _fill(parts: Components) -> None:
    """Install the demo's servers, and sync those that are not in the catalogue yet."""
    tenant = await tenant_by_slug(parts.database)
    installed = await install_demo(parts.settings.data_dir / "demo", click.echo)
    there = {server.name for server in await parts.servers.list(tenant.id)}
    for server in installed:
        if server.name not in there:
            new = NewServer(
                name=server.name,
                transport="stdio",
                command=server.command,
                args=server.args,
                env=server.env,
                description=server.description,
            )
            await parts.servers.add(tenant.id, new)
    names = {server.name for server in installed}
    unsynced = [
        server
        for server in await parts.servers.list(tenant.id)
        if server.name in names and (server.synced_at is None or server.sync_error is not None)
    ]
    if unsynced:
        await sync_servers(parts, unsynced)


async def _demo_key(parts: Components) -> str:
    """The key of the demo, the same at every start: kept in a file that only its owner can read."""
    path: Path = parts.settings.data_dir / "demo" / _KEY_FILE
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    tenant = await tenant_by_slug(parts.database)
    new = await parts.keys.create(tenant.id, "demo", ["all"])
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(new.key + "\n")
    return new.key


def _demo_words(url: str, key: str) -> str:
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "tool_search", "arguments": {"query": _DEMO_QUERY}},
        }
    )
    return (
        f"\nModelGate is ready.\n  MCP endpoint: {url}/mcp\n  API key:      {key}\n\nAsk it for a tool:\n\n"
        f"curl -s {url}/mcp -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'\n\n"
        "Stop it with Ctrl+C."
    )
