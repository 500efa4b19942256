"""Tenants."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.access.tenants import Confirmation, TenantCard, TenantChange, TenantInput


@operation("GET", "/tenants", own_account=True)
async def list_tenants(context: RestContext) -> list[TenantCard]:
    """List the tenants that one may enter."""
    return await context.services.tenants.list(context.principal)


@operation("POST", "/tenants", gateway_wide=True, status=201)
async def create_tenant(context: RestContext, body: TenantInput) -> TenantCard:
    """Make a tenant."""
    return await context.services.tenants.create(body, context.principal)


@operation("PATCH", "/tenants/{tenant_id}", gateway_wide=True)
async def change_tenant(context: RestContext, tenant_id: int, body: TenantChange) -> TenantCard:
    """Rename, suspend or readmit a tenant."""
    return await context.services.tenants.change(tenant_id, body, context.principal)


@operation("DELETE", "/tenants/{tenant_id}", gateway_wide=True)
async def remove_tenant(context: RestContext, tenant_id: int, query: Confirmation) -> None:
    """Remove a tenant with everything in it, after its slug was typed once more."""
    await context.services.tenants.remove(tenant_id, query)


OPERATIONS = (
    list_tenants,
    create_tenant,
    change_tenant,
    remove_tenant,
)
