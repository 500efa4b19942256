"""The tenants of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.paths import HOME_PATH
from gateway.admin.request_input import parse_form
from gateway.admin.services.access.tenants import Confirmation, TenantCard, TenantChange, TenantInput
from gateway.admin.web.export import csv_response
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.errors import ModelGateError

_TENANTS_PATH = f"{HOME_PATH}/tenants"
_CSV_COLUMNS = ("id", "slug", "name", "suspended_at", "servers", "tools", "keys")


async def list_tenants(context: PageContext) -> Response:
    """Those that may be entered, and the form for another."""
    return await _page(context)


async def export_tenants(context: PageContext) -> Response:
    """The tenants that `q` fits as CSV."""
    return csv_response("tenants", _CSV_COLUMNS, await _matching_tenants(context))


async def create_tenant(context: PageContext) -> Response:
    """Make a tenant."""
    submitted = await context.form()
    try:
        await context.services.tenants.create(parse_form(TenantInput, submitted), context.principal)
    except ModelGateError as error:
        return await _page(context, error, submitted)
    return context.redirect_to(_TENANTS_PATH)


async def change_tenant(context: PageContext) -> Response:
    """Suspend a tenant, or readmit it."""
    change = parse_form(TenantChange, await context.form())
    await context.services.tenants.change(context.path_id("id"), change, context.principal)
    return context.redirect_to(_TENANTS_PATH)


async def remove_tenant(context: PageContext) -> Response:
    """Remove a tenant with everything in it."""
    submitted = await context.form()
    try:
        await context.services.tenants.remove(context.path_id("id"), parse_form(Confirmation, submitted))
    except ModelGateError as error:
        return await _page(context, error, submitted, removing=context.path_id("id"))
    return context.redirect_to(_TENANTS_PATH)


async def _matching_tenants(context: PageContext) -> list[TenantCard]:
    text = context.query("q").lower()
    tenants = await context.services.tenants.list(context.principal)
    return [tenant for tenant in tenants if text in f"{tenant.name} {tenant.slug}".lower()]


async def _page(
    context: PageContext,
    error: ModelGateError | None = None,
    submitted: Mapping[str, Any] | None = None,
    removing: int = 0,
) -> Response:
    """`removing` is the id of the tenant whose form of removal is open, 0 for none."""
    rejection = context.rejection(error)
    return context.render(
        "tenants.html",
        rejection.status,
        tenants=await _matching_tenants(context),
        q=context.query("q"),
        submitted=submitted or {},
        removing=removing,
        errors=rejection.errors,
    )


PAGES = (
    get("/tenants", list_tenants, own_account=True),
    get("/tenants/export", export_tenants, own_account=True),
    post("/tenants", create_tenant, gateway_wide=True),
    post("/tenants/{id:int}", change_tenant, gateway_wide=True),
    post("/tenants/{id:int}/remove", remove_tenant, gateway_wide=True),
)
