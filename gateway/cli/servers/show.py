"""`modelgate servers show`, `check` and `login`: one server at a time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import click

from gateway.app import Components
from gateway.catalog.server import ServerRecord
from gateway.catalog.sync.health_check import HealthChecks
from gateway.cli.access.tenants import tenant_option
from gateway.cli.command import plain, tail
from gateway.cli.context import at_server
from gateway.errors import InvalidInputError
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerStatus

_LOGIN_SECONDS = 600
_MAX_REQUEST_LINE = 16_384


@click.command()
@click.argument("name")
@tenant_option
@click.pass_context
def show(context: click.Context, name: str, tenant: str) -> None:
    """Show a server: how it is reached, how it is used and how it does. No secret is shown."""

    async def work(parts: Components, server: ServerRecord) -> tuple[ServerRecord, ServerSpec]:
        return server, await parts.servers.spec(server.tenant_id, server.id)

    server, spec = at_server(context, tenant, name, work)
    for label, value in _facts(server, spec):
        click.echo(f"{label + ':':<16} {plain(value)}")


def _facts(server: ServerRecord, spec: ServerSpec) -> list[tuple[str, str]]:
    tuning = server.tuning
    facts = [
        ("Name", server.name),
        ("Slug", server.slug),
        ("Description", server.description),
        ("Names begin", {None: f"{server.slug}__", "": "as they are"}.get(spec.prefix, f"{spec.prefix}__")),
        ("Transport", server.transport),
        ("Command", " ".join([server.command or "", *("…" for _ in spec.args)]) if server.command else ""),
        ("URL", _without_secrets(server.url)),
        ("Document", _without_secrets(spec.document_url) or ("kept here" if spec.document is not None else "")),
        ("Environment", ", ".join(sorted(spec.env))),
        ("Headers", ", ".join(sorted(spec.headers))),
        ("Credential", server.credential + (" + client certificate" if spec.certificate is not None else "")),
        ("State", server.state),
        ("Tools", str(server.tool_count)),
        ("Last sync", "never" if server.synced_at is None else f"{server.synced_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("Sync error", server.sync_error or ""),
        ("Health", health_of(server)),
        ("Last seen", "" if server.last_seen_at is None else f"{server.last_seen_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("Restarts", str(server.restarts)),
        ("Last error", server.last_error or ""),
        ("Session", tuning.session),
    ]
    facts += [
        (field.name, f"{value:g}")
        for field in dataclasses.fields(tuning)
        if isinstance(value := getattr(tuning, field.name), (int, float))
    ]
    return [(label, value) for label, value in facts if value]


def health_of(server: ServerRecord) -> str:
    """How a server did at its last check, in a few words; empty before the first."""
    if not server.enabled or server.health is None:
        return ""
    state = server.health.replace("_", " ")
    return f"{state}, {server.latency_ms:.1f} ms" if server.latency_ms and state == "connected" else state


def _without_secrets(url: str | None) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{parts.hostname or ''}{port}", query="…" if parts.query else "").geturl()


@click.command()
@click.argument("name")
@tenant_option
@click.pass_context
def check(context: click.Context, name: str, tenant: str) -> None:
    """Connect to a server and ask whether it is there."""

    async def work(parts: Components, server: ServerRecord) -> ServerStatus:
        status = await parts.pool.check(await parts.servers.spec(server.tenant_id, server.id))
        health = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, parts.settings.upstream)
        await health.record(server.tenant_id, server.id, status)
        return status

    status = at_server(context, tenant, name, work)
    if status.last_error is not None:
        click.echo(plain(status.last_error), err=True)
        for line in tail(status.stderr):
            click.echo(line, err=True)
        context.exit(1)
    click.echo(f"{name} answers in {status.latency_ms or 0:.1f} ms.")


@click.command()
@click.argument("name")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to wait for the answer [default: any].")
@tenant_option
@click.pass_context
def login(context: click.Context, name: str, *, port: int, tenant: str) -> None:
    """Sign in at a server's authorization server, in a browser on this machine."""

    async def work(parts: Components, server: ServerRecord) -> None:
        answered: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        async with await asyncio.start_server(_answering(answered), "127.0.0.1", port, limit=_MAX_REQUEST_LINE) as web:
            redirect_uri = f"http://127.0.0.1:{web.sockets[0].getsockname()[1]}/callback"
            url = await parts.logins.begin(server.tenant_id, server.id, redirect_uri)
            click.echo(f"Open this address in a browser, within ten minutes:\n\n{url}\n")
            try:
                answer = await asyncio.wait_for(answered, _LOGIN_SECONDS)
            except asyncio.TimeoutError:
                raise InvalidInputError("Nobody has signed in; begin again.") from None
        if "code" not in answer:
            raise InvalidInputError(
                f"The authorization server gave no code ({answer.get('error', 'no reason')[:100]})."
            )
        await parts.logins.finish(answer.get("state", ""), answer["code"], answer.get("iss"))

    at_server(context, tenant, name, work)
    click.echo(f"Signed in to {name}.")


def _answering(
    answered: asyncio.Future[dict[str, str]],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Takes the one request that brings the answer of the authorization server."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = (await reader.readuntil(b"\n")).decode("latin-1").split(" ")
            parts = urlsplit(line[1] if len(line) > 1 else "")
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            there = parts.path == "/callback" and bool(query)
            words = b"You can close this page and go back to the terminal." if there else b"There is nothing here."
            status = b"200 OK" if there else b"404 Not Found"
            head = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            writer.write(head % (status, len(words)) + words)
            await writer.drain()
            if there and not answered.done():
                answered.set_result(query)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            # Whatever that was, the answer may still come.
            return
        finally:
            writer.close()

    return take
