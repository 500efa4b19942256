"""Roles: sets of visibility rules, resolved in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.database.pool import Database, Statements
from gateway.errors import NotFoundError

Visibility = Literal["ALLOW", "SEARCH", "DENY"]


@dataclass(frozen=True, slots=True)
class Role:
    """A role of a tenant; `default_visibility` is for what no rule names."""

    id: int
    name: str
    description: str
    default_visibility: Visibility
    version: int


async def role_named(database: Database, tenant_id: int, name: str) -> Role:
    """The role called `name`. Raises NotFoundError and names those that are there."""
    row = await database.fetchrow("role_by_name", tenant_id, name)
    if row is None:
        known = ", ".join(sorted(other["name"] for other in await database.fetch("list_roles", tenant_id)))
        raise NotFoundError(f"There is no role {name!r}; there are: {known or 'none'}.")
    return Role(**row)


async def create_role(
    database: Database, tenant_id: int, name: str, default: Visibility = "DENY", description: str = ""
) -> Role:
    """A new role without rules. Raises ConflictError when the name is taken."""
    async with database.transaction() as transaction:
        role_id = await transaction.fetchval("insert_role", tenant_id, name, description, default)
        await publish(transaction, tenant_id, role_id=role_id)
    return Role(role_id, name, description, default, 1)


async def set_rule(
    database: Database,
    tenant_id: int,
    role_id: int,
    visibility: Visibility,
    *,
    tool_id: int | None = None,
    pattern: str | None = None,
    server_id: int | None = None,
    category: str | None = None,
) -> int:
    """Say what a role sees of exactly one target; a rule about the same target is replaced. Returns the rule's id."""
    async with database.transaction() as transaction:
        rule_id: int = await transaction.fetchval(
            "insert_rule", tenant_id, role_id, tool_id, pattern, server_id, category, visibility
        )
        await publish(transaction, tenant_id, role_id=role_id)
    return rule_id


async def publish(
    transaction: Statements, tenant_id: int, *, role_id: int | None = None, server_id: int | None = None
) -> None:
    """Resolve the rules anew for what changed (None: all) and tell every process, all within `transaction`."""
    await transaction.execute("refresh_role_tools", tenant_id, role_id, server_id)
    await transaction.execute("bump_catalogue", tenant_id)
