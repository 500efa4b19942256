"""Roles: sets of visibility rules, resolved in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gateway.database.connection import DatabaseConnection
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

Visibility = Literal["ALLOW", "SEARCH", "DENY"]
VISIBILITIES: tuple[Visibility, ...] = get_args(Visibility)
RoleApproval = Literal["none", "destructive", "not_read_only", "all"]
"""Calls of which tools wait for a person: none, those that may destroy something, those that may change something, all.
What tools say of themselves counts, and one that says nothing may do both.
"""
ROLE_APPROVALS: tuple[RoleApproval, ...] = get_args(RoleApproval)

_NAME_LENGTH = 100
_DESCRIPTION_LENGTH = 2_000


@dataclass(frozen=True, slots=True)
class Role:
    """A role; `default_visibility` is for what no rule names, `version` counts changes of the role but not of rules.

    `approve`: calls of which tools wait, where no rule says otherwise.
    """

    id: int
    name: str
    description: str
    default_visibility: Visibility
    version: int
    approve: RoleApproval


@dataclass(frozen=True, slots=True)
class RoleRecord(Role):
    """What a list shows of a role: also how many rules it has, and how many keys not revoked carry it."""

    rule_count: int
    key_count: int


async def role_by_name(database: Database, tenant_id: int, name: str) -> Role:
    """The role called `name`. Raises NotFoundError and names those that are there."""
    row = None if "\x00" in name else await database.fetchrow("role_by_name", tenant_id, name)
    if row is None:
        known = ", ".join(role.name for role in await list_roles(database, tenant_id))
        raise NotFoundError(f"There is no role {name!r}; there are: {known or 'none'}.")
    return Role(**row)


async def list_roles(database: Database, tenant_id: int) -> list[RoleRecord]:
    """Every role of a tenant, by name."""
    return [RoleRecord(**row) for row in await database.fetch("list_roles", tenant_id)]


async def create_role(
    database: Database,
    tenant_id: int,
    name: str,
    default: Visibility = "DENY",
    description: str = "",
    approve: RoleApproval = "none",
) -> Role:
    """A new role without rules. Raises InvalidInputError, and ConflictError when the name is taken."""
    validate_role(name, description)
    validate_visibility(default)
    validate_role_approval(approve)
    try:
        async with database.tenant_transaction(tenant_id) as transaction:
            role_id = await transaction.fetchval("insert_role", tenant_id, name, description, default, None)
            await transaction.execute("set_role_approve", tenant_id, role_id, approve)
            await refresh_visibility(transaction, tenant_id, role_id=role_id)
    except ConflictError:
        raise ConflictError(f"There is a role {name!r} already; choose another name.") from None
    return Role(role_id, name, description, default, 1, approve)


async def update_role(
    database: Database,
    tenant_id: int,
    role_id: int,
    version: int,
    *,
    name: str | None = None,
    default: Visibility | None = None,
    description: str | None = None,
    approve: RoleApproval | None = None,
) -> int:
    """Change a role that is still at `version`; what is None stays. Returns its new version.

    Raises InvalidInputError, NotFoundError, and ConflictError when someone else changed it meanwhile or the name is
    taken.
    """
    validate_role(name if name is not None else "role", description or "")
    if default is not None:
        validate_visibility(default)
    if approve is not None:
        validate_role_approval(approve)
    async with database.tenant_transaction(tenant_id) as transaction:
        new: int | None = await transaction.fetchval(
            "update_role", tenant_id, role_id, version, name, description, default, None
        )
        if new is None:
            raise await version_conflict(transaction, "role", tenant_id, role_id, version)
        if approve is not None:
            await transaction.execute("set_role_approve", tenant_id, role_id, approve)
        await refresh_visibility(transaction, tenant_id, role_id=role_id)
    return new


async def delete_role(database: Database, tenant_id: int, role_id: int, version: int | None = None) -> None:
    """Delete a role with its rules; keys that carry it lose it. With a `version`, only if it is still at that.

    Raises NotFoundError and ConflictError as `update_role`.
    """
    async with database.tenant_transaction(tenant_id) as transaction:
        if not await transaction.execute("delete_role", tenant_id, role_id, version):
            raise await version_conflict(transaction, "role", tenant_id, role_id, version)
        await refresh_visibility(transaction, tenant_id, role_id=role_id)


async def refresh_visibility(
    transaction: DatabaseConnection, tenant_id: int, *, role_id: int | None = None, server_id: int | None = None
) -> None:
    """Resolve the rules anew for what changed (None: all) and tell every process, all within `transaction`.

    From here to the end of the transaction no other change of the tenant is published: two at once would each be
    resolved without the other.
    """
    await transaction.execute("bump_catalogue_version", tenant_id)
    await transaction.execute("refresh_role_tools", tenant_id, role_id, server_id)


async def version_conflict(
    transaction: DatabaseConnection, kind: Literal["role", "rule"], tenant_id: int, thing_id: int, version: int | None
) -> NotFoundError | ConflictError:
    """Why a change of a role, profile or rule at `version` found nothing to change."""
    now = await transaction.fetchval("role_version" if kind == "role" else "rule_version", tenant_id, thing_id)
    if now is None:
        return NotFoundError(f"There is no {kind} {thing_id} in this tenant.")
    return ConflictError(
        f"The {kind} was changed by someone else meanwhile: it is at version {now}, not {version}; read it again, "
        "then decide."
    )


def validate_role(name: str, description: str) -> None:
    """Raise InvalidInputError for a name or description that a role or profile cannot have."""
    if not name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
        raise InvalidInputError(f"The name of a role has to be 1 to {_NAME_LENGTH} printable characters.", "name")
    if len(description) > _DESCRIPTION_LENGTH or "\x00" in description:
        raise InvalidInputError(f"A description has to be at most {_DESCRIPTION_LENGTH} characters.", "description")


def validate_visibility(visibility: str) -> None:
    """Raise InvalidInputError for what is no visibility."""
    if visibility not in VISIBILITIES:
        raise InvalidInputError(
            f"Visibility has to be one of {', '.join(VISIBILITIES)}, not {visibility[:100]!r}.", "visibility"
        )


def validate_role_approval(approve: str) -> None:
    """Raise InvalidInputError for what no role can say of approval."""
    if approve not in ROLE_APPROVALS:
        raise InvalidInputError(
            f"Approval has to be one of {', '.join(ROLE_APPROVALS)}, not {approve[:100]!r}.", "approve"
        )
