"""Tenants, as people look at them and change them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from gateway.access.tenants import (
    Tenant,
    create_tenant,
    delete_tenant,
    list_tenants,
    rename_tenant,
    suspend_tenant,
)
from gateway.admin.accounts.principal import Principal
from gateway.admin.request_input import FORBID_EXTRA
from gateway.database.pool import Database
from gateway.errors import NotFoundError

_Name = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class TenantCard:
    """A tenant as a list shows it; `keys` counts those that are not revoked."""

    id: int
    slug: str
    name: str
    suspended_at: datetime | None
    servers: int
    tools: int
    keys: int


@dataclass(frozen=True, slots=True)
class TenantInput:
    """A tenant to be made; without a name it goes by its slug."""

    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    name: Annotated[str, Field(max_length=200)] = ""

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class TenantChange:
    """What of a tenant is to be changed; null stays. A suspended tenant's keys open nothing."""

    name: _Name | None = None
    suspended: bool | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The slug of the tenant, typed once more: it goes with everything in it."""

    confirmation: Annotated[str, Field(max_length=200)]

    __pydantic_config__ = FORBID_EXTRA


class TenantService:
    """The tenants of the gateway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, principal: Principal) -> list[TenantCard]:
        """The tenants that this principal may enter, by name."""
        rows = await self._database.fetch("tenants_with_counts")
        return [TenantCard(**row) for row in rows if principal.may_enter(row["id"])]

    async def create(self, new: TenantInput, principal: Principal) -> TenantCard:
        """Make a tenant. Raises InvalidInputError, ConflictError where the slug is taken."""
        tenant = await create_tenant(self._database, new.slug, new.name)
        return await self._card(tenant.id, principal)

    async def change(self, tenant_id: int, change: TenantChange, principal: Principal) -> TenantCard:
        """Rename, suspend or readmit a tenant. Raises NotFoundError, InvalidInputError."""
        await self._tenant(tenant_id)
        if change.name is not None:
            await rename_tenant(self._database, tenant_id, change.name)
        if change.suspended is not None:
            await suspend_tenant(self._database, tenant_id, suspended=change.suspended)
        return await self._card(tenant_id, principal)

    async def remove(self, tenant_id: int, confirmation: Confirmation) -> None:
        """Remove a tenant with everything in it. Raises NotFoundError, InvalidInputError for another confirmation."""
        await delete_tenant(self._database, await self._tenant(tenant_id), confirmation.confirmation)

    async def _tenant(self, tenant_id: int) -> Tenant:
        for tenant in await list_tenants(self._database):
            if tenant.id == tenant_id:
                return tenant
        raise NotFoundError(f"There is no tenant {tenant_id}.")

    async def _card(self, tenant_id: int, principal: Principal) -> TenantCard:
        for card in await self.list(principal):
            if card.id == tenant_id:
                return card
        raise NotFoundError(f"There is no tenant {tenant_id}.")
