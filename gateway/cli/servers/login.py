"""`modelgate servers login`: OAuth at a server, signed in to in a browser on this machine."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import click

from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.component_runner import run_with_server
from gateway.cli.options import tenant_option
from gateway.errors import InvalidInputError

if TYPE_CHECKING:
    from gateway.components import Components

_LOGIN_SECONDS = 600
_MAX_REQUEST_LINE = 16_384
_CALLBACK_PATH = "/callback"
_HEAD = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


@click.command()
@click.argument("name")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to wait for the answer [default: any].")
@tenant_option
@click.pass_context
def login(context: click.Context, name: str, *, port: int, tenant: str) -> None:
    """Sign in at a server's authorization server, in a browser on this machine."""

    # The answer comes to a port of this process, which nobody else listens on.
    browser = secrets.token_urlsafe()

    async def work(components: Components, server: ServerRecord) -> None:
        callback = AuthorizationCallback()
        async with await asyncio.start_server(callback.respond, "127.0.0.1", port, limit=_MAX_REQUEST_LINE) as listener:
            redirect_uri = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}{_CALLBACK_PATH}"
            url = await components.logins.begin(server.tenant_id, server.id, redirect_uri, browser)
            click.echo(f"Open this address in a browser, within ten minutes:\n\n{url}\n")
            try:
                query = await asyncio.wait_for(callback.query, _LOGIN_SECONDS)
            except asyncio.TimeoutError:
                raise InvalidInputError("Nobody has signed in; begin again.") from None
        if "code" not in query:
            raise InvalidInputError(f"The authorization server gave no code ({query.get('error', 'no reason')[:100]}).")
        await components.logins.finish(query.get("state", ""), query["code"], browser, query.get("iss"))

    run_with_server(context, tenant, name, work)
    click.echo(f"Signed in to {name}.")


class AuthorizationCallback:
    """The redirect URI of one login: `query` is set by the one request in which the authorization server answers."""

    def __init__(self) -> None:
        self.query: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a request that comes over a connection of its own."""
        try:
            request_line = (await reader.readuntil(b"\n")).decode("latin-1").split(" ")
            target = urlsplit(request_line[1] if len(request_line) > 1 else "")
            query = {key: values[0] for key, values in parse_qs(target.query).items()}
            is_answer = target.path == _CALLBACK_PATH and bool(query)
            status = b"200 OK" if is_answer else b"404 Not Found"
            body = b"You can close this page and go back to the terminal." if is_answer else b"There is nothing here."
            writer.write(_HEAD % (status, len(body)) + body)
            await writer.drain()
            if is_answer and not self.query.done():
                self.query.set_result(query)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            # Whatever that was, the answer may still come.
            return
        finally:
            writer.close()
