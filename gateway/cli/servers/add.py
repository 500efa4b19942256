"""`modelgate servers add`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from gateway.access.tenants import Tenant
from gateway.catalog.servers.server_definition import ServerDefinition, TransportKind
from gateway.catalog.servers.tuning import Tuning
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog
from gateway.cli.options import in_tenant, tenant_option
from gateway.cli.servers.options.credential_options import credential_options, read_certificate, read_credential
from gateway.cli.servers.options.name_value_options import check_transport_options, name_value_options
from gateway.cli.servers.options.openapi_document import is_url, read_document
from gateway.cli.servers.options.target import check_target
from gateway.cli.servers.options.tuning_options import read_tuning, tuning_options
from gateway.errors import InvalidInputError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="NAME", required=False)
@click.argument("target", metavar="TARGET", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--sse", is_flag=True, help="The URL speaks HTTP+SSE, the transport before streamable HTTP.")
@name_value_options
@click.option("--cwd", help="The working directory of a command [default: the present one]")
@click.option("--description", default="", help="What the server is for, in a few words.")
@click.option("--prefix", help="What its tools' names begin with, for good [default: its name]; empty is allowed.")
@click.option("--openapi", is_flag=True, help="The target is an OpenAPI document, a file or a URL: an HTTP API.")
@click.option("--base-url", help="Where that API is, if its document does not say, or says otherwise.")
@tuning_options
@credential_options
@tenant_option
@click.pass_context
def add(
    context: click.Context,
    /,
    name: str | None,
    target: str | None,
    arguments: tuple[str, ...],
    *,
    sse: bool,
    env: dict[str, str],
    headers: dict[str, str],
    cwd: str | None,
    description: str,
    prefix: str | None,
    openapi: bool,
    base_url: str | None,
    tenant: str,
    **options: Any,
) -> None:
    """Add a server: a URL, or a command with its arguments (after --).

    \b
    modelgate servers add Docs https://example.com/mcp --header "Authorization: Bearer …"
    modelgate servers add Files -- npx -y @modelcontextprotocol/server-filesystem /tmp
    modelgate servers add Weather https://api.example.com/openapi.json --openapi --bearer -
    """
    name, target = check_target(context, name, target, arguments, openapi=openapi)
    url = is_url(target)
    transport: TransportKind = "openapi" if openapi else ("sse" if sse else "http") if url else "stdio"
    if base_url and not openapi:
        raise InvalidInputError("--base-url goes with --openapi; a server's URL is its target.")
    check_transport_options(transport, {"env": env, "headers": headers, "cwd": cwd})
    document, document_url = read_document(target) if openapi else (None, None)
    server = ServerDefinition(
        name=name,
        transport=transport,
        command=target if transport == "stdio" else None,
        args=arguments,
        env=env,
        cwd=cwd or (str(Path.cwd()) if transport == "stdio" else None),
        url=base_url if openapi else target if url else None,
        headers=headers,
        description=description,
        prefix=prefix,
        credential=read_credential(options),
        certificate=read_certificate(options),
        document=document,
        document_url=document_url,
    )
    tuning = read_tuning(options, Tuning())
    tuning.validate()

    async def work(parts: CatalogParts, owner: Tenant) -> None:
        server_id = await parts.servers.add(owner.id, server)
        if tuning != Tuning():
            await parts.servers.set_tuning(owner.id, server_id, tuning)

    run_with_catalog(context, tenant, work)
    quoted = shlex.quote(name) + in_tenant(tenant)
    first = f"sign in with modelgate servers login {quoted}, then " if options["sign_in"] else ""
    click.echo(f"{name} is added; {first}bring its tools in with modelgate sync {quoted}.")
