"""Who has connected which server."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.connections import PersonConnectionFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext


async def list_person_connections(context: PageContext) -> Response:
    """A page of connections."""
    given = {name: value for name in ("server_id", "after") if (value := context.query(name))}
    page = await context.services.connections.page(context.tenant.id, parse_form(PersonConnectionFilter, given))
    return context.render(
        "person_connections.html",
        page=page,
        servers=await context.services.servers.names(context.tenant.id),
        server_id=given.get("server_id", ""),
    )


async def withdraw_person_connection(context: PageContext) -> Response:
    """End a connection of somebody."""
    person_id, server_id = context.path_id("person"), context.path_id("server")
    await context.services.connections.withdraw(context.tenant.id, person_id, server_id)
    return context.redirect("/connections")


PAGES = (
    get("/connections", list_person_connections),
    post("/connections/{person:int}/{server:int}/withdraw", withdraw_person_connection),
)
