"""`modelgate connections`: who has connected which server, of those that let each person in as who they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.access.tenants import Tenant
from gateway.catalog.servers.server_record import ServerRecord
from gateway.cli.component_runner import run_with_components, run_with_server
from gateway.cli.options import ask_secret, json_option, tenant_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from gateway.access.connections.connections import ConnectionRecord
    from gateway.admin.services.connections import ConnectionService
    from gateway.components import Components
    from gateway.upstream.spec import ServerSpec

_AT_ONCE = 500


@click.group()
def connections() -> None:
    """Show who has connected which server, connect one, and end connections."""


@connections.command("list")
@click.option("--server", "server_name", metavar="NAME", help="Of one server.")
@tenant_option
@json_option
@click.pass_context
def list_connections(context: click.Context, server_name: str | None, tenant: str, *, as_json: bool) -> None:
    """List who has connected what, and nothing that is in it."""

    async def work(components: Components, owner: Tenant) -> list[ConnectionRecord]:
        server = None if server_name is None else await components.servers.get_by_name(owner.id, server_name)
        found: list[ConnectionRecord] = []
        while True:
            after = (found[-1].person_id, found[-1].server_id) if found else (0, 0)
            page = await components.connections.page(owner.id, None if server is None else server.id, after, _AT_ONCE)
            found += page
            if len(page) < _AT_ONCE:
                return found

    found = run_with_components(context, tenant, work)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nobody has connected anything.")
        return
    print_table(
        ["PERSON", "SUBJECT", "SERVER", "KIND", "AS", "SCOPES", "UNTIL", "LAST USED"],
        [
            [
                printable(each.person_name),
                printable(each.person_subject, 40),
                printable(each.server_name),
                each.kind,
                printable(each.subject, 40),
                printable(each.scopes, 40),
                format_time(each.expires_at),
                format_time(each.last_used_at),
            ]
            for each in found
        ],
    )


@connections.command("connect")
@click.argument("name")
@tenant_option
@click.pass_context
def connect(context: click.Context, name: str, tenant: str) -> None:
    """Connect a server for the person behind an API key, which is asked for, as what they have there is."""

    async def work(components: Components, server: ServerRecord) -> str:
        from gateway.access.connections.links import LINKS_PATH
        from gateway.access.connections.secret import PASSWORD, SECRET, USERNAME
        from gateway.upstream.credentials.personal import PersonalSecret

        spec = await components.servers.spec(server.tenant_id, server.id)
        _check_connectable(spec)
        # The server is there: only now is anybody asked for something.
        caller = await components.keys.authenticate(ask_secret("API key").strip())
        if caller.tenant_id != server.tenant_id:
            raise NotFoundError("The key is of another tenant.")
        at = await components.personal_credentials.person_at(caller, spec)
        if not isinstance(spec.personal, PersonalSecret):
            base = components.settings.admin.public_url.rstrip("/")
            if not base:
                raise InvalidInputError("Set admin.public_url, where browsers reach the gateway, and try again.")
            key_id = None if caller.acts_for is not None else caller.key_id
            token = await components.connection_links.make(at.person, spec.id, key_id)
            return f"Open this address in a browser, within ten minutes:\n\n{base}{LINKS_PATH}/{token}\n"
        if spec.personal.basic:
            given = {USERNAME: click.prompt("User", err=True)}
            given[PASSWORD] = ask_secret("Password")
        else:
            given = {SECRET: ask_secret("Token or key")}
        await _service(components).connect_secret(at.person, spec.id, given)
        return f"{spec.name} is connected for {at.person.name or 'the key'}."

    click.echo(run_with_server(context, tenant, name, work))


@connections.command("disconnect")
@click.argument("name")
@click.option("--person", required=True, metavar="PERSON", help="Whose connection, by name or subject.")
@tenant_option
@click.pass_context
def disconnect(context: click.Context, name: str, person: str, tenant: str) -> None:
    """End the connection of somebody to a server; sessions end, and its provider is told where that is possible."""

    async def work(components: Components, server: ServerRecord) -> None:
        somebody = await components.persons.named(server.tenant_id, person)
        await _service(components).disconnect(somebody, server.id)

    run_with_server(context, tenant, name, work)
    click.echo(f"{name} is disconnected for {person}.")


@connections.command("forget")
@click.argument("person")
@tenant_option
@click.pass_context
def forget(context: click.Context, person: str, tenant: str) -> None:
    """Forget a person, by name or subject: their connections end, and no key acts for them any more."""

    async def work(components: Components, owner: Tenant) -> None:
        somebody = await components.persons.named(owner.id, person)
        service = _service(components)
        for connection in await components.connections.of_person(owner.id, somebody.id):
            await service.disconnect(somebody, connection.server_id)
        await components.persons.remove(owner.id, somebody.id)

    run_with_components(context, tenant, work)
    click.echo(f"{person} is forgotten here.")


def _service(components: Components) -> ConnectionService:
    # The command line starts faster without it.
    from gateway.admin.services.connections import ConnectionService

    return ConnectionService(
        components.database,
        components.servers,
        components.persons,
        components.connections,
        components.personal_credentials,
        components.keys,
        components.pool,
    )


def _check_connectable(spec: ServerSpec) -> None:
    """Raises InvalidInputError where there is nothing for a person to do."""
    from gateway.upstream.credentials.personal import personal_kind

    kind = None if spec.personal is None else personal_kind(spec.personal)
    by = {None: "its own credential", "header": "what the proxy adds", "exchange": "the token that they call with"}
    if kind in by:
        raise InvalidInputError(f"{spec.name} lets everybody in by {by[kind]}; there is nothing to connect.")
