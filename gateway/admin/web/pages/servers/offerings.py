"""What a server offers beside tools: prompts, resource templates, and what it says of itself."""

from __future__ import annotations

from starlette.responses import Response

from gateway.admin.request_input import parse_form
from gateway.admin.services.servers.offerings import OfferingApproval
from gateway.admin.services.servers.review import StandingFilter
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext


async def show_offerings(context: PageContext) -> Response:
    """Each of them, and what is held against it."""
    tenant_id, server_id = context.tenant.id, context.path_id("server")
    detail = await context.services.servers.get(tenant_id, server_id, context.principal)
    offerings = await context.services.offerings.list(tenant_id, StandingFilter(server_id=server_id, waiting=False))
    return context.render("offerings.html", server=detail.card, offerings=offerings)


async def approve_offerings(context: PageContext) -> Response:
    """Approve one of them as it was looked at, or without a kind all that wait."""
    server_id = context.path_id("server")
    approval = parse_form(OfferingApproval, await context.form())
    await context.services.offerings.approve(context.tenant.id, server_id, approval)
    return context.redirect(f"/servers/{server_id}/offerings")


PAGES = (
    get("/servers/{server:int}/offerings", show_offerings),
    post("/servers/{server:int}/offerings", approve_offerings),
)
