"""The page of one server."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.oauth_callback import CALLBACK_PATH, client_metadata_url
from gateway.admin.reading import read_form
from gateway.admin.services.servers.review import ChangePolicy, StandingFilter
from gateway.admin.services.servers.versions import ComparisonFilter, VersionFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.pages.servers import jobs
from gateway.admin.web.visit import PageContext

_VERSIONS = 20


async def show_server(visit: PageContext) -> Response:
    """All there is to know of a server."""
    tenant_id, server_id = visit.tenant.id, visit.number("server")
    detail = await visit.actions.servers.get(tenant_id, server_id, visit.principal)
    versions = await visit.actions.versions.list(tenant_id, server_id, VersionFilter(limit=_VERSIONS))
    waiting = await visit.actions.approvals.list(tenant_id, StandingFilter(server_id=server_id))
    return visit.page(
        "server.html",
        waiting=waiting,
        server=detail.card,
        detail=detail,
        versions=versions.items,
        log=await visit.actions.servers.log(tenant_id, server_id),
        job=jobs(visit).get(server_id),
        server_id=server_id,
    )


async def show_log(visit: PageContext) -> Response:
    """The end of what a stdio server wrote to its standard error output."""
    log = await visit.actions.servers.log(visit.tenant.id, visit.number("server"))
    return visit.page("server_log.html", log=log)


async def check(visit: PageContext) -> Response:
    """Ping the server, and show how it does."""
    server_id = visit.number("server")
    connection = await visit.actions.servers.check(visit.tenant.id, server_id)
    if not visit.by_htmx:
        return visit.to(f"/servers/{server_id}")
    return visit.page("server_connection.html", connection=connection)


async def sign_in(visit: PageContext) -> Response:
    """Where a person signs in for the gateway; a link, for a form may not lead to another site."""
    base = visit.guard.base_url(visit.request)
    address = await visit.actions.servers.begin_login(
        visit.tenant.id, visit.number("server"), base + CALLBACK_PATH, client_metadata_url(base)
    )
    return visit.page("server_sign_in.html", address=address)


async def restore(visit: PageContext) -> Response:
    """Go back to a version; the server is pinned to it."""
    server_id = visit.number("server")
    await visit.actions.versions.restore(visit.tenant.id, server_id, visit.number("version"))
    return visit.to(f"/servers/{server_id}")


async def unpin(visit: PageContext) -> Response:
    """Offer what the server lists again, from a sync on that is started now."""
    server_id = visit.number("server")
    await visit.actions.versions.unpin(visit.tenant.id, server_id)
    await visit.actions.syncs.start(visit.tenant.id, server_id)
    return visit.to(f"/servers/{server_id}")


async def compare(visit: PageContext) -> Response:
    """How a version differs from the one that is offered."""
    wanted = read_form(ComparisonFilter, {"before": visit.asked("before"), "after": visit.asked("after")})
    found = await visit.actions.versions.compare(visit.tenant.id, visit.number("server"), wanted)
    return visit.page("server_comparison.html", found=found)


async def approve_all(visit: PageContext) -> Response:
    """Approve every tool that waits, as it is now."""
    server_id = visit.number("server")
    await visit.actions.approvals.approve_all(visit.tenant.id, server_id)
    return visit.to(f"/servers/{server_id}")


async def set_policy(visit: PageContext) -> Response:
    """What happens to tools that change from now on."""
    server_id = visit.number("server")
    await visit.actions.approvals.set_policy(visit.tenant.id, server_id, read_form(ChangePolicy, await visit.form()))
    return visit.to(f"/servers/{server_id}")


async def switch(visit: PageContext) -> Response:
    """Switch a server on or off."""
    server_id = visit.number("server")
    enabled = (await visit.form()).get("enabled") == "true"
    await visit.actions.servers.set_enabled(visit.tenant.id, server_id, enabled)
    return visit.to(f"/servers/{server_id}")


async def remove(visit: PageContext) -> Response:
    """Remove a server with everything that hangs on it."""
    await visit.actions.servers.remove(visit.tenant.id, visit.number("server"))
    return visit.to("/servers")


PAGES = (
    get("/servers/{server:int}", show_server),
    get("/servers/{server:int}/log", show_log),
    post("/servers/{server:int}/check", check, looks=True),
    post("/servers/{server:int}/login", sign_in),
    get("/servers/{server:int}/compare", compare),
    post("/servers/{server:int}/versions/{version:int}/restore", restore),
    post("/servers/{server:int}/unpin", unpin),
    post("/servers/{server:int}/approve", approve_all),
    post("/servers/{server:int}/policy", set_policy),
    post("/servers/{server:int}/switch", switch),
    post("/servers/{server:int}/remove", remove),
)
