"""Servers: added, changed, connected and watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from gateway.admin.oauth_callback import CALLBACK_PATH, bind_login, client_metadata_url, new_login_browser
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.rest.json_response import json_response
from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.servers.credential_input import CredentialsInput, PersonalInput
from gateway.admin.services.servers.health import ServerHealth
from gateway.admin.services.servers.server_card import ConnectionView, ServerCard, ServerDetail
from gateway.admin.services.servers.server_input import ServerChange, ServerInput
from gateway.admin.services.servers.servers import Imported, TuningInput
from gateway.admin.services.servers.trials import ServerTest, TriedServer
from gateway.errors import ConflictError


@dataclass(frozen=True, slots=True)
class ImportInput:
    """A configuration as MCP clients have it, as text: `{"mcpServers": {name: {"command": …} or {"url": …}}}`.

    `values` are for its placeholders: `{"MY_TOKEN": …}` for `${MY_TOKEN}`, `{"input:id": …}` for `${input:id}`.
    """

    document: Annotated[str, Field(min_length=1, max_length=1_000_000)]
    values: Mapping[str, Annotated[str, Field(max_length=10_000)]] = field(default_factory=dict, repr=False)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ServerLogin:
    """Where a person signs in for the gateway."""

    url: str


@dataclass(frozen=True, slots=True)
class ServerLog:
    """The last 64 KiB that a stdio server wrote to its standard error output."""

    text: str


@operation("GET", "/servers")
async def list_servers(context: RestContext) -> list[ServerCard]:
    """List the servers with their state."""
    return await context.services.servers.list(context.tenant.id, context.principal)


@operation("POST", "/servers", status=201)
async def add_server(context: RestContext, body: ServerInput) -> ServerDetail:
    """Add a server, without connecting to it."""
    return await context.services.servers.add(context.tenant.id, body, context.principal)


@operation("POST", "/servers/import")
async def import_servers(context: RestContext, body: ImportInput) -> tuple[Imported, ...]:
    """Add the servers of an mcpServers document, each for itself."""
    return await context.services.servers.import_json(
        context.tenant.id, body.document, context.principal, context.admission.record_denial, body.values
    )


@operation("POST", "/servers/test")
async def test_server(context: RestContext, body: ServerTest) -> TriedServer:
    """Connect to a server before it is saved, and list its tools."""
    return await context.services.trials.run(context.tenant.id, body, context.principal)


@operation("GET", "/servers/{server_id}")
async def get_server(context: RestContext, server_id: int) -> ServerDetail:
    """Show a server; of its secrets only the names."""
    return await context.services.servers.get(context.tenant.id, server_id, context.principal)


@operation("PATCH", "/servers/{server_id}")
async def change_server(context: RestContext, server_id: int, body: ServerChange) -> ServerDetail:
    """Change a server; what is left out stays."""
    return await context.services.servers.change(context.tenant.id, server_id, body, context.principal)


@operation("DELETE", "/servers/{server_id}")
async def remove_server(context: RestContext, server_id: int) -> None:
    """Remove a server with its tools, vectors and rules."""
    await context.services.servers.remove(context.tenant.id, server_id)


@operation("PUT", "/servers/{server_id}/credentials")
async def set_server_credentials(context: RestContext, server_id: int, body: CredentialsInput) -> ServerDetail:
    """Set what the gateway is let in with: bearer token, name and password, OAuth, client certificate."""
    return await context.services.servers.set_credentials(context.tenant.id, server_id, body, context.principal)


@operation("PUT", "/servers/{server_id}/personal")
async def set_server_personal(context: RestContext, server_id: int, body: PersonalInput) -> ServerDetail:
    """Set how each person is let in as who they are, or null, that all share the server's own credential."""
    return await context.services.servers.set_personal(context.tenant.id, server_id, body, context.principal)


@operation("PUT", "/servers/{server_id}/tuning")
async def tune_server(context: RestContext, server_id: int, body: TuningInput) -> ServerDetail:
    """Set limits, sessions, idle stop and interval of syncs."""
    return await context.services.servers.tune(context.tenant.id, server_id, body, context.principal)


@operation("POST", "/servers/{server_id}/login", returns=ServerLogin)
async def begin_server_login(context: RestContext, server_id: int) -> Response:
    """Begin a sign-in at the authorization server of a server; open the address in the same browser.

    It takes a session: with an API token there is no browser, and modelgate servers login does it.
    """
    if context.principal.via == "token":
        raise ConflictError(
            "A sign-in is begun in a browser, on the server's page; without one, use modelgate servers login."
        )
    base, browser = context.public_url.base(context.request), new_login_browser(context.request)
    url = await context.services.servers.begin_login(
        context.tenant.id, server_id, base + CALLBACK_PATH, browser, client_metadata_url(base)
    )
    response = json_response(ServerLogin, ServerLogin(url))
    bind_login(context.request, response, context.public_url, browser)
    return response


@operation("POST", "/servers/{server_id}/enable")
async def enable_server(context: RestContext, server_id: int) -> ServerCard:
    """Switch a server on."""
    return await context.services.servers.set_enabled(context.tenant.id, server_id, True)


@operation("POST", "/servers/{server_id}/disable")
async def disable_server(context: RestContext, server_id: int) -> ServerCard:
    """Switch a server off: none of its tools is listed, found or callable."""
    return await context.services.servers.set_enabled(context.tenant.id, server_id, False)


@operation("POST", "/servers/{server_id}/check")
async def check_server(context: RestContext, server_id: int) -> ConnectionView:
    """Ping a server, connecting it where it is not."""
    return await context.services.servers.check(context.tenant.id, server_id)


@operation("GET", "/servers/{server_id}/health")
async def get_server_health(context: RestContext, server_id: int) -> ServerHealth:
    """Show how a server did over the last 24 hours."""
    return await context.services.server_health.last_day(context.tenant.id, server_id)


@operation("GET", "/servers/{server_id}/log", write=True)
async def get_server_log(context: RestContext, server_id: int) -> ServerLog:
    """Show the end of what a stdio server logged; it may hold secrets, so it takes an admin."""
    return ServerLog(await context.services.servers.log(context.tenant.id, server_id))


OPERATIONS = (
    list_servers,
    add_server,
    import_servers,
    test_server,
    get_server,
    change_server,
    remove_server,
    set_server_credentials,
    set_server_personal,
    tune_server,
    begin_server_login,
    enable_server,
    disable_server,
    check_server,
    get_server_health,
    get_server_log,
)
