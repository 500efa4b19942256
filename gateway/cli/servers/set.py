"""`modelgate servers set`: what is changed about a server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from gateway.access.persons import Persons
from gateway.catalog.servers.server_definition import ServerDefinition, ServerSecrets
from gateway.catalog.servers.server_record import ServerRecord
from gateway.catalog.servers.tuning import Tuning
from gateway.cli.catalog_runner import CatalogParts, run_with_catalog_server
from gateway.cli.options import tenant_option
from gateway.cli.servers.options.credential_options import credential_options, read_certificate, read_credential
from gateway.cli.servers.options.name_value_options import check_transport_options, name_value_options
from gateway.cli.servers.options.openapi_document import read_document
from gateway.cli.servers.options.personal_options import personal_options, read_personal
from gateway.cli.servers.options.token_options import token_options
from gateway.cli.servers.options.tuning_options import read_tuning, tuning_options
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.personal import PersonalKind


@click.command("set")
@click.argument("name")
@click.option("--enable/--disable", "enabled", default=None, help="Switch it on, or off with all its tools.")
@click.option("--rename", metavar="NAME", help="What it is called from now on; its tools keep their names.")
@click.option("--description", help="What the server is for, in a few words.")
@click.option("--url", help="Where it is; of an OpenAPI server, where the API is.")
@click.option("--document", metavar="FILE|URL", help="The OpenAPI document from now on.")
@click.option("--command", help="The command from now on.")
@click.option("--arg", "args", multiple=True, help="An argument of the command; all of them, one --arg each.")
@click.option("--cwd", help="The working directory of the command.")
@name_value_options
@click.option("--without-env", multiple=True, metavar="NAME", help="Forget a variable.")
@click.option("--without-header", "without_headers", multiple=True, metavar="NAME", help="Forget a header.")
@tuning_options
@click.option("--defaults", is_flag=True, help="First forget all timeouts, limits and intervals of its own.")
@click.option("--no-credential", is_flag=True, help="Forget credential and client certificate.")
@credential_options
@personal_options
@token_options
@tenant_option
@click.pass_context
def set_server(
    context: click.Context,
    /,
    name: str,
    *,
    enabled: bool | None,
    defaults: bool,
    no_credential: bool,
    tenant: str,
    **options: Any,
) -> None:
    """Change how a server is reached and used, and what the gateway is let in with. What is left out stays."""
    personal = read_personal(options)
    credential, certificate = read_credential(options), read_certificate(options)

    forgotten = False

    async def work(parts: CatalogParts, server: ServerRecord) -> None:
        nonlocal forgotten
        server_key = (server.tenant_id, server.id)
        before = await parts.servers.load_definition(*server_key)
        changed = _changed(before, options)
        tuning = read_tuning(options, Tuning() if defaults else server.tuning)
        tuning.validate()
        if changed.destination != before.destination:
            # What was stored for the one origin is not for the other, unless it is given again.
            changed = replace(changed, headers=options["headers"], credential=credential, certificate=certificate)
            forgotten = before.secrets != ServerSecrets(env=before.env)
        elif credential is not None or certificate is not None or no_credential:
            kept = replace(before, credential=None, certificate=None) if no_credential else before
            await parts.servers.set_credential(
                *server_key, credential or kept.credential, certificate or kept.certificate
            )
            changed = replace(changed, credential=None, certificate=None)
        if replace(changed, credential=before.credential, certificate=before.certificate) != before:
            await parts.servers.update(*server_key, changed)
        if options["credential"] is not None or options["list_as"] is not None:
            await _set_personal(parts, server, personal, options)
        if tuning != server.tuning:
            await parts.servers.set_tuning(*server_key, tuning)
        if enabled is not None:
            await parts.servers.set_enabled(*server_key, enabled)

    run_with_catalog_server(context, tenant, name, work)
    click.echo(f"{name} is changed.")
    if forgotten:
        click.echo("It is at another origin now: headers, credential and certificate are as you gave them just now.")


async def _set_personal(
    parts: CatalogParts, server: ServerRecord, personal: PersonalKind | None, options: dict[str, Any]
) -> None:
    spec = await parts.servers.spec(server.tenant_id, server.id)
    kind = spec.personal if options["credential"] is None else personal
    list_as = spec.list_as
    if options["list_as"] is not None:
        if kind is None:
            raise InvalidInputError(f"--list-as is for servers with --credential per_user; {server.name} is none.")
        list_as = (await Persons(parts.database).named(server.tenant_id, options["list_as"])).id
    await parts.servers.set_personal(server.tenant_id, server.id, kind, list_as)


def _changed(before: ServerDefinition, options: dict[str, Any]) -> ServerDefinition:
    """`before` with what the options say. Raises InvalidInputError for what is not for this kind of server."""
    check_transport_options(before.transport, options)
    changes = {
        field: options[option]
        for field, option in (
            ("name", "rename"),
            ("description", "description"),
            ("url", "url"),
            ("command", "command"),
            ("cwd", "cwd"),
        )
        if options[option] is not None
    }
    if options["args"]:
        changes["args"] = options["args"]
    for field, without in (("env", "without_env"), ("headers", "without_headers")):
        values = {**getattr(before, field), **options[field]}
        for name in options[without]:
            if values.pop(name, None) is None:
                raise InvalidInputError(
                    f"{before.name} has no {name!r} among its {field}; there are: {', '.join(values)}."
                )
        changes[field] = values
    if options["document"] is not None:
        if before.transport != "openapi":
            raise InvalidInputError("--document is for an OpenAPI server, which this one is not; leave it out.")
        changes["document"], changes["document_url"] = read_document(options["document"])
    return replace(before, **changes)
