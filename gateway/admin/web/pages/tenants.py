"""The tenants of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from gateway.admin.problem import problem_of
from gateway.admin.reading import read_form
from gateway.admin.services.access.tenants import Confirmation, TenantCard, TenantChange, TenantInput
from gateway.admin.web.export import csv_file
from gateway.admin.web.page import get, post
from gateway.admin.web.visit import HOME, PageContext, errors_of
from gateway.errors import ModelGateError

_PATH = f"{HOME}/tenants"
_EXPORTED = ("id", "slug", "name", "suspended_at", "servers", "tools", "keys")


async def list_tenants(visit: PageContext) -> Response:
    """Those that may be entered, and the form for another."""
    return await _page(visit)


async def export(visit: PageContext) -> Response:
    """The tenants that `q` fits as CSV."""
    return csv_file("tenants", _EXPORTED, await _fitting(visit))


async def create(visit: PageContext) -> Response:
    """Make a tenant."""
    sent = await visit.form()
    try:
        await visit.actions.tenants.create(read_form(TenantInput, sent), visit.principal)
    except ModelGateError as error:
        return await _page(visit, error, sent)
    return visit.to_address(_PATH)


async def change(visit: PageContext) -> Response:
    """Suspend a tenant, or readmit it."""
    wanted = read_form(TenantChange, await visit.form())
    await visit.actions.tenants.change(visit.number("id"), wanted, visit.principal)
    return visit.to_address(_PATH)


async def remove(visit: PageContext) -> Response:
    """Remove a tenant with everything in it."""
    sent = await visit.form()
    try:
        await visit.actions.tenants.remove(visit.number("id"), read_form(Confirmation, sent))
    except ModelGateError as error:
        return await _page(visit, error, sent, at=visit.number("id"))
    return visit.to_address(_PATH)


async def _fitting(visit: PageContext) -> list[TenantCard]:
    wanted = visit.asked("q").lower()
    tenants = await visit.actions.tenants.list(visit.principal)
    return [tenant for tenant in tenants if wanted in f"{tenant.name} {tenant.slug}".lower()]


async def _page(
    visit: PageContext, error: ModelGateError | None = None, sent: Mapping[str, Any] | None = None, at: int = 0
) -> Response:
    return visit.page(
        "tenants.html",
        200 if error is None else problem_of(error).status,
        tenants=await _fitting(visit),
        q=visit.asked("q"),
        sent=sent or {},
        at=at,
        errors={} if error is None else errors_of(error),
    )


PAGES = (
    get("/tenants", list_tenants, own=True),
    get("/tenants/export", export, own=True),
    post("/tenants", create, everywhere=True),
    post("/tenants/{id:int}", change, everywhere=True),
    post("/tenants/{id:int}/remove", remove, everywhere=True),
)
