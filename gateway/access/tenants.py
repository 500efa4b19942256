"""Tenants: owners of servers, roles and keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.database.pool import Database
from gateway.errors import NotFoundError

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant; `catalogue_version` counts the changes of what its callers may see."""

    id: int
    slug: str
    name: str
    suspended_at: datetime | None
    catalogue_version: int


async def tenant_by_slug(database: Database, slug: str = DEFAULT_TENANT) -> Tenant:
    """The tenant with this slug. Raises NotFoundError."""
    row = await database.fetchrow("tenant_by_slug", slug)
    if row is None:
        raise NotFoundError(f"There is no tenant {slug!r}.")
    return Tenant(**row)
