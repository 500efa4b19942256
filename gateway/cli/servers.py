"""`modelgate servers` and `modelgate sync`: upstream servers of the default tenant."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gateway.access.tenants import tenant_by_slug
from gateway.app import Parts, open_parts
from gateway.catalog.importing import read_client_configuration
from gateway.catalog.server import NewServer, ServerRecord, Transport
from gateway.catalog.sync import OnProgress, SyncProgress, SyncReport
from gateway.cli.credential import credential_options, read_certificate, read_credential
from gateway.cli.running import CONNECTIONS, plain, run, settings_of, table
from gateway.cli.server import check, health_of, login, set_server, show
from gateway.errors import ConflictError, InvalidInputError, ModelGateError

_SYNCS_AT_ONCE = 4

OnOutcome = Callable[[str], None]


@click.group()
def servers() -> None:
    """Add, list, change and remove upstream servers."""


for one_server in (show, set_server, check, login):
    servers.add_command(one_server)


def _pairs(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    separator = ":" if parameter.name == "headers" else "="
    pairs = {}
    for value in values:
        name, found, content = value.partition(separator)
        if not found or not name.strip():
            raise click.BadParameter(f"{name!r} has no {separator}; write NAME{separator}VALUE.")
        pairs[name.strip()] = content.strip() if separator == ":" else content
    return pairs


@servers.command("add", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("target")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--sse", is_flag=True, help="The URL speaks HTTP+SSE, the transport before streamable HTTP.")
@click.option("--env", callback=_pairs, multiple=True, metavar="NAME=VALUE", help="For a command; kept encrypted.")
@click.option("--header", "headers", callback=_pairs, multiple=True, metavar="NAME:VALUE", help="For a URL; encrypted.")
@click.option("--cwd", help="The working directory of a command [default: the present one]")
@click.option("--description", default="", help="What the server is for, in a few words.")
@click.option("--openapi", is_flag=True, help="The target is an OpenAPI document, a file or a URL: an HTTP API.")
@click.option("--base-url", help="Where that API is, if its document does not say, or says otherwise.")
@credential_options
@click.pass_context
def add(
    context: click.Context,
    /,
    name: str,
    target: str,
    arguments: tuple[str, ...],
    *,
    sse: bool,
    env: dict[str, str],
    headers: dict[str, str],
    cwd: str | None,
    description: str,
    openapi: bool,
    base_url: str | None,
    **given: Any,
) -> None:
    """Add a server: a URL, or a command with its arguments (after --).

    \b
    modelgate servers add Docs https://example.com/mcp --header "Authorization: Bearer …"
    modelgate servers add Files -- npx -y @modelcontextprotocol/server-filesystem /data
    modelgate servers add Weather https://api.example.com/openapi.json --openapi --bearer -
    """
    settings = settings_of(context, log_level="warning")
    url = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", target)
    transport: Transport = "openapi" if openapi else ("sse" if sse else "http") if url else "stdio"
    if base_url and not openapi:
        raise InvalidInputError("--base-url goes with --openapi; a server's URL is its target.")
    server = NewServer(
        name=name,
        transport=transport,
        command=target if transport == "stdio" else None,
        args=arguments,
        env=env,
        cwd=cwd or (str(Path.cwd()) if transport == "stdio" else None),
        url=base_url if openapi else target if url else None,
        headers=headers,
        description=description,
        credential=read_credential(given),
        certificate=read_certificate(given),
        document=_document(target) if openapi and not url else None,
        document_url=target if openapi and url else None,
    )

    async def work() -> None:
        async with open_parts(settings, connections=CONNECTIONS) as parts:
            await parts.servers.add((await tenant_by_slug(parts.database)).id, server)

    run(work)
    first = f"sign in with modelgate servers login {shlex.quote(name)}, then " if given["sign_in"] else ""
    click.echo(f"{name} is added; {first}bring its tools in with modelgate sync {shlex.quote(name)}.")


def _document(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{file} is not a text file in UTF-8.") from None


@servers.command("list")
@click.pass_context
def list_servers(context: click.Context) -> None:
    """List all servers with the state of their last sync."""
    settings = settings_of(context, log_level="warning")

    async def work() -> list[ServerRecord]:
        async with open_parts(settings, connections=CONNECTIONS) as parts:
            return await parts.servers.list((await tenant_by_slug(parts.database)).id)

    found = run(work)
    if not found:
        click.echo("There are no servers yet; add one with modelgate servers add.")
        return
    table(
        ["NAME", "TRANSPORT", "TOOLS", "STATE", "LAST SYNC", "HEALTH"],
        [
            [
                plain(server.name),
                server.transport,
                str(server.tool_count),
                server.state,
                "never" if server.synced_at is None else f"{server.synced_at:%Y-%m-%d %H:%M}",
                health_of(server),
            ]
            for server in found
        ],
    )
    for server in found:
        if server.sync_error is not None:
            click.echo(f"{plain(server.name)}: {plain(server.sync_error)}")
        for skipped in server.skipped_tools:
            click.echo(f"{plain(server.name)}: tool {plain(skipped['name'])} is left out: {plain(skipped['reason'])}")


@servers.command("remove")
@click.argument("name")
@click.pass_context
def remove(context: click.Context, name: str) -> None:
    """Remove a server with its tools and the rules about them."""
    settings = settings_of(context, log_level="warning")

    async def work() -> None:
        async with open_parts(settings, connections=CONNECTIONS) as parts:
            tenant = await tenant_by_slug(parts.database)
            await parts.servers.remove(tenant.id, (await parts.servers.named(tenant.id, name)).id)

    run(work)
    click.echo(f"{name} is removed.")


@servers.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def import_servers(context: click.Context, file: Path) -> None:
    """Add the servers of an mcpServers JSON file, as desktop clients keep it."""
    settings = settings_of(context, log_level="warning")
    try:
        listed, failed = read_client_configuration(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{file} is not a text file in UTF-8.") from None
    everything = len(listed) + len(failed)
    # Relative paths in such a file are meant from where it is read; the gateway may run elsewhere.
    listed = [
        replace(server, cwd=str(Path.cwd())) if server.transport == "stdio" and not server.cwd else server
        for server in listed
    ]

    async def work() -> None:
        async with open_parts(settings, connections=CONNECTIONS) as parts:
            tenant = await tenant_by_slug(parts.database)
            for server in listed:
                try:
                    await parts.servers.add(tenant.id, server)
                except (ConflictError, InvalidInputError) as error:
                    failed.append(error.message)

    run(work)
    for message in failed:
        click.echo(f"Not added: {plain(message)}", err=True)
    added = everything - len(failed)
    hint = "; bring their tools in with modelgate sync" if added else ""
    click.echo(f"{added} of {everything} servers are added{hint}.")
    if failed:
        context.exit(1)


@click.command()
@click.argument("names", nargs=-1, metavar="[SERVER]...")
@click.pass_context
def sync(context: click.Context, names: tuple[str, ...]) -> None:
    """Bring the tools of these servers, or of all, into the catalogue."""
    settings = settings_of(context, log_level="warning")

    async def work() -> tuple[int, int]:
        async with open_parts(settings, connections=CONNECTIONS) as parts:
            tenant = await tenant_by_slug(parts.database)
            if names:
                chosen = [await parts.servers.named(tenant.id, name) for name in dict.fromkeys(names)]
            else:
                chosen = [server for server in await parts.servers.list(tenant.id) if server.enabled]
            return await sync_servers(parts, chosen)

    done, failed = run(work)
    if not done and not failed:
        click.echo("There are no servers to sync; add one with modelgate servers add.")
        return
    click.echo(f"{done} of {done + failed} servers are synced.")
    if failed:
        context.exit(1)


async def sync_servers(parts: Parts, chosen: list[ServerRecord]) -> tuple[int, int]:
    """Sync servers, a few at a time, and say how each went; returns how many went well and how many did not."""
    limit = asyncio.Semaphore(_SYNCS_AT_ONCE)
    failed = 0

    with _progress(len(chosen)) as (tell, finish):

        async def one(server: ServerRecord) -> None:
            nonlocal failed
            async with limit:
                try:
                    report = await parts.sync.run(server.tenant_id, server.id, tell)
                except ModelGateError as error:
                    failed += 1
                    finish(f"{plain(server.name)}: failed. {plain(error.message)}")
                else:
                    finish(_summary(report))

        await asyncio.gather(*(one(server) for server in chosen))
    return len(chosen) - failed, failed


def _summary(report: SyncReport) -> str:
    parts = [
        f"{len(names)} {word}"
        for names, word in ((report.added, "added"), (report.changed, "changed"), (report.removed, "removed"))
        if names
    ]
    parts.append(f"{report.unchanged} unchanged")
    lines = [f"{plain(report.server)}: {', '.join(parts)}, {report.embedded} texts embedded, {report.seconds:.1f} s."]
    lines += [f"  {plain(tool.name)} is left out: {plain(tool.reason)}" for tool in report.skipped]
    if report.quarantined:
        waiting = ", ".join(plain(name) for name in report.quarantined)
        lines.append(f"  Hidden until approved, see modelgate tools flags: {waiting}")
    if report.notice:
        lines.append(f"  {plain(report.notice)}")
    return "\n".join(lines)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[OnProgress, OnOutcome]]:
    """How progress and outcomes are shown: a bar on a terminal, plain lines of outcomes elsewhere."""
    if not sys.stdout.isatty():
        yield lambda _: None, click.echo
        return
    outcomes: list[str] = []
    with click.progressbar(length=total, label="Syncing", item_show_func=lambda item: item) as bar:

        def tell(progress: SyncProgress) -> None:
            counted = f" {progress.done}/{progress.total}" if progress.total else ""
            bar.update(0, plain(f"{progress.server}: {progress.step}{counted}", 60))

        def finish(outcome: str) -> None:
            outcomes.append(outcome)
            bar.update(1)

        yield tell, finish
    for outcome in outcomes:
        click.echo(outcome)
