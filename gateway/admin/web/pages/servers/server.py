"""The page of one server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response

from gateway.admin.oauth_callback import CALLBACK_PATH, bind_login, client_metadata_url, new_login_browser
from gateway.admin.request_input import parse_form
from gateway.admin.services.calls import CallFilter
from gateway.admin.services.servers.review import ChangePolicy, StandingFilter
from gateway.admin.services.servers.versions import ComparisonFilter, VersionFilter
from gateway.admin.web.fragment_stream import fragment_stream
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.pages.servers.server_limits import describe_limits
from gateway.admin.web.pages.servers.server_list import sync_jobs
from gateway.admin.web.presentation.timeline import health_timeline
from gateway.admin.web.switch_input import SwitchInput

_MAX_VERSIONS = 20
_MAX_CALLS = 10


async def show_server(context: PageContext) -> Response:
    """All there is to know of a server; its log may hold secrets, so it is for admins."""
    return context.render("server.html", **await _page_values(context, context.path_id("server")))


async def follow_sync(context: PageContext) -> Response:
    """The progress of a sync, and all of the page as soon as it has ended."""
    return fragment_stream(_fragments(context, context.path_id("server")))


async def _fragments(context: PageContext, server_id: int) -> AsyncIterator[str]:
    async for job in context.services.syncs.follow(context.tenant.id, context.principal, server_id):
        if job.state == "running":
            yield context.render_fragment("server_sync.html", job=job, server_id=server_id)
        else:
            yield context.render_fragment("server_body.html", **await _page_values(context, server_id))


async def _page_values(context: PageContext, server_id: int) -> dict[str, Any]:
    tenant_id, may_write = context.tenant.id, context.principal.may_write
    detail = await context.services.servers.get(tenant_id, server_id, context.principal)
    versions = await context.services.versions.list(tenant_id, server_id, VersionFilter(limit=_MAX_VERSIONS))
    return {
        "waiting": await context.services.review.list(tenant_id, StandingFilter(server_id=server_id)),
        "offerings_waiting": len(await context.services.offerings.list(tenant_id, StandingFilter(server_id=server_id))),
        "calls": (
            await context.services.calls.list(tenant_id, CallFilter(server_id=server_id, limit=_MAX_CALLS))
        ).items,
        "server": detail.card,
        "detail": detail,
        "versions": versions.items,
        "timeline": health_timeline(await context.services.server_health.last_day(tenant_id, server_id)),
        "limits": describe_limits(detail.tuning, context.services.servers.default_limits),
        "log": await context.services.servers.log(tenant_id, server_id) if may_write else "",
        "job": sync_jobs(context, [detail.card]).get(server_id),
        "server_id": server_id,
    }


async def show_server_log(context: PageContext) -> Response:
    """The end of what a stdio server wrote to its standard error output."""
    log = await context.services.servers.log(context.tenant.id, context.path_id("server"))
    return context.render("server_log.html", log=log)


async def check_server(context: PageContext) -> Response:
    """Ping the server, and show how it does."""
    server_id = context.path_id("server")
    connection = await context.services.servers.check(context.tenant.id, server_id)
    if not context.is_htmx:
        return context.redirect(f"/servers/{server_id}")
    return context.render("server_connection.html", connection=connection)


async def begin_server_login(context: PageContext) -> Response:
    """Where a person signs in for the gateway; a link, for a form may not lead to another site."""
    base, browser = context.public_url.base(context.request), new_login_browser(context.request)
    address = await context.services.servers.begin_login(
        context.tenant.id, context.path_id("server"), base + CALLBACK_PATH, browser, client_metadata_url(base)
    )
    response = context.render("server_login.html", address=address)
    bind_login(context.request, response, context.public_url, browser)
    return response


async def restore_server_version(context: PageContext) -> Response:
    """Go back to a version; the server is pinned to it."""
    server_id = context.path_id("server")
    await context.services.versions.restore(context.tenant.id, server_id, context.path_id("version"))
    return context.redirect(f"/servers/{server_id}")


async def unpin_server(context: PageContext) -> Response:
    """Offer what the server lists again, from a sync on that is started now."""
    server_id = context.path_id("server")
    await context.services.versions.unpin(context.tenant.id, server_id)
    await context.services.syncs.start(context.tenant.id, server_id)
    return context.redirect(f"/servers/{server_id}")


async def compare_server_versions(context: PageContext) -> Response:
    """How a version differs from the one that is offered."""
    query = parse_form(ComparisonFilter, {"before": context.query("before"), "after": context.query("after")})
    comparison = await context.services.versions.compare(context.tenant.id, context.path_id("server"), query)
    return context.render("server_comparison.html", comparison=comparison)


async def approve_server_tools(context: PageContext) -> Response:
    """Approve every tool that waits, as it is now."""
    server_id = context.path_id("server")
    await context.services.review.approve_all(context.tenant.id, server_id)
    return context.redirect(f"/servers/{server_id}")


async def set_server_policy(context: PageContext) -> Response:
    """What happens to tools that change from now on."""
    server_id = context.path_id("server")
    policy = parse_form(ChangePolicy, await context.form())
    await context.services.review.set_policy(context.tenant.id, server_id, policy)
    return context.redirect(f"/servers/{server_id}")


async def set_server_enabled(context: PageContext) -> Response:
    """Switch a server on or off."""
    server_id = context.path_id("server")
    wanted = parse_form(SwitchInput, await context.form())
    await context.services.servers.set_enabled(context.tenant.id, server_id, wanted.enabled)
    return context.redirect(f"/servers/{server_id}")


async def remove_server(context: PageContext) -> Response:
    """Remove a server with everything that hangs on it."""
    await context.services.servers.remove(context.tenant.id, context.path_id("server"))
    return context.redirect("/servers")


PAGES = (
    get("/servers/{server:int}", show_server),
    get("/servers/{server:int}/events", follow_sync),
    get("/servers/{server:int}/log", show_server_log, write=True),
    post("/servers/{server:int}/check", check_server),
    post("/servers/{server:int}/login", begin_server_login),
    get("/servers/{server:int}/compare", compare_server_versions),
    post("/servers/{server:int}/versions/{version:int}/restore", restore_server_version),
    post("/servers/{server:int}/unpin", unpin_server),
    post("/servers/{server:int}/approve", approve_server_tools),
    post("/servers/{server:int}/policy", set_server_policy),
    post("/servers/{server:int}/switch", set_server_enabled),
    post("/servers/{server:int}/remove", remove_server),
)
