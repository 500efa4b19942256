"""Tenants: owners of servers, roles and keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

DEFAULT_TENANT = "default"
_NAME_LENGTH = 200


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
    row = None if "\x00" in slug else await database.fetchrow("tenant_by_slug", slug)
    if row is None:
        raise NotFoundError(f"There is no tenant {slug!r}.")
    return Tenant(**row)


async def list_tenants(database: Database) -> list[Tenant]:
    """Every tenant, by slug."""
    return [Tenant(**row) for row in await database.fetch("list_tenants")]


async def create_tenant(database: Database, slug: str, name: str = "") -> Tenant:
    """A new tenant, without roles, keys or servers; without a `name` it goes by its slug.

    Raises InvalidInputError for a slug or name that cannot be, ConflictError when the slug is taken.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", slug):
        raise InvalidInputError(
            f"The tenant slug {slug[:_NAME_LENGTH]!r} has to be 1 to 63 lower-case letters, digits, _ or -.", "slug"
        )
    try:
        row = await database.fetchrow("insert_tenant", slug, _validated_name(name or slug))
    except ConflictError:
        raise ConflictError(f"There is a tenant {slug!r} already; choose another slug.") from None
    assert row is not None
    return Tenant(**row)


async def rename_tenant(database: Database, tenant_id: int, name: str) -> None:
    """Give a tenant another name; its slug stays. Raises NotFoundError and InvalidInputError."""
    if not await database.fetch("rename_tenant", tenant_id, _validated_name(name)):
        raise NotFoundError(f"There is no tenant {tenant_id}.")


async def suspend_tenant(database: Database, tenant_id: int, *, suspended: bool) -> None:
    """Shut a tenant's keys out, or let them in again, from the next request on. Raises NotFoundError."""
    if not await database.fetch("suspend_tenant", tenant_id, suspended):
        raise NotFoundError(f"There is no tenant {tenant_id}.")


async def delete_tenant(database: Database, tenant: Tenant, confirmation: str) -> None:
    """Delete a tenant with its servers, tools, roles, keys and all else that is its own.

    Raises InvalidInputError unless `confirmation` is the tenant's slug, and for the default tenant, NotFoundError.
    """
    if tenant.slug == DEFAULT_TENANT:
        raise InvalidInputError("The default tenant cannot be deleted; suspend it instead.")
    if confirmation != tenant.slug:
        raise InvalidInputError(
            f"Nothing is deleted; to delete the tenant, confirm with its slug {tenant.slug!r}.", "confirmation"
        )
    if not await database.fetch("delete_tenant", tenant.id):
        raise NotFoundError(f"There is no tenant {tenant.slug!r}.")


def _validated_name(name: str) -> str:
    if not name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
        raise InvalidInputError(f"The name of a tenant has to be 1 to {_NAME_LENGTH} printable characters.", "name")
    return name.strip()
