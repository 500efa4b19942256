"""`modelgate connect`: the gateway for clients that can only start a command."""

from __future__ import annotations

import asyncio
import signal
import sys
from urllib.parse import urlsplit

import click

from gateway.cli.runner import run_async
from gateway.errors import InvalidInputError
from gateway.telemetry.logs import configure_logging
from gateway.upstream.spec import ServerSpec

_PATH = "/mcp"
_MAX_CONNECTIONS = 32


@click.command()
@click.option(
    "--url", envvar="MODELGATE_URL", default="http://127.0.0.1:8080", show_default=True, help="Where the gateway is."
)
@click.option("--key", envvar="MODELGATE_API_KEY", help="An API key; better given as MODELGATE_API_KEY.")
def connect(url: str, key: str | None) -> None:
    """Speak MCP on standard input and output, for a client that can only start a command.

    \b
    {"mcpServers": {"modelgate": {"command": "modelgate", "args": ["connect"],
     "env": {"MODELGATE_URL": "http://127.0.0.1:8080", "MODELGATE_API_KEY": "mg_…"}}}}
    """
    # Standard output belongs to the protocol; what is to be read by people goes to standard error.
    configure_logging("warning")
    key = (key or "").strip()
    if not key:
        raise InvalidInputError("There is no API key; set MODELGATE_API_KEY to one, made with modelgate keys create.")
    if not key.isascii() or not key.isprintable():
        raise InvalidInputError("The API key holds characters that no key has; copy it again.")
    if sys.stdin is None or sys.stdout is None:
        raise InvalidInputError("Standard input or output is closed; start modelgate connect from an MCP client.")
    spec = ServerSpec(
        id=0,
        tenant_id=0,
        name="ModelGate",
        slug="modelgate",
        transport="http",
        url=mcp_endpoint(url),
        headers={"X-API-Key": key},
        max_calls=_MAX_CONNECTIONS,
    )
    run_async(lambda: _connect(spec))


def mcp_endpoint(url: str) -> str:
    """The MCP endpoint of the gateway at `url`, which may be that endpoint. Raises InvalidInputError."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidInputError(f"The gateway's URL {url!r} is none ({error}); write it as http://HOST:PORT.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"The gateway's URL {url!r} has to begin with http:// or https:// and name a host.")
    return parts._replace(path=_PATH).geturl() if parts.path in ("", "/") else url


async def _connect(spec: ServerSpec) -> None:
    from gateway.bridge.bridge import Bridge
    from gateway.bridge.standard_streams import StandardStreams

    streams = StandardStreams()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    if sys.platform != "win32":
        # There Ctrl+C ends the loop by itself.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel if task is not None else loop.stop)

    async def write(line: bytes) -> None:
        try:
            await streams.write_line(line)
        except OSError:
            # The client has gone; there is nobody left to tell.
            if task is not None:
                task.cancel()

    try:
        await Bridge(spec, streams.read_line, write).run()
    except asyncio.CancelledError:
        return
