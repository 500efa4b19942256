"""Accounts of the people who run the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.access.persons import ACCOUNT_ISSUER
from gateway.admin.accounts.password import PasswordHasher
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError

AdminRole = Literal["admin", "viewer"]

_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Admin:
    """An account. `role`: an admin may change what a viewer may only look at.

    `tenants` are the slugs, and `tenant_ids` the numbers, of those it is limited to where `every_tenant` is False.
    `issuer` is the OpenID provider that it comes from, None for one of the gateway's own.
    """

    id: int
    name: str
    role: AdminRole
    every_tenant: bool
    tenant_ids: tuple[int, ...]
    tenants: tuple[str, ...]
    issuer: str | None
    has_password: bool
    version: int
    created_at: datetime
    signed_in_at: datetime | None


class Accounts:
    """Makes, reads, changes and removes accounts."""

    def __init__(self, database: Database, passwords: PasswordHasher) -> None:
        self._database = database
        self._passwords = passwords

    async def list(self) -> list[Admin]:
        """Every account, by name."""
        return [admin_from_row(row) for row in await self._database.fetch("list_admins")]

    async def get(self, admin_id: int) -> Admin:
        """One account. Raises NotFoundError."""
        row = await self._database.fetchrow("admin_by_id", admin_id)
        if row is None:
            raise NotFoundError(f"There is no admin {admin_id}.")
        return admin_from_row(row)

    async def get_by_name(self, name: str) -> Admin:
        """The account of that name, in whatever case. Raises NotFoundError."""
        row = await self._database.fetchrow("admin_by_name", name)
        if row is None:
            raise NotFoundError(f"There is no admin {name!r}; `modelgate admin list` shows all.")
        return admin_from_row(row)

    async def create(
        self, name: str, password: str, role: AdminRole = "admin", tenants: Sequence[str] | None = None
    ) -> Admin:
        """A new account with a password, limited to the tenants of these slugs; None is every tenant.

        Raises InvalidInputError for a name or password that cannot be, NotFoundError for a tenant that is not there,
        ConflictError when the name is taken.
        """
        self.validate_name(name)
        password_hash = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            admin_id = await insert_account(transaction, name, password_hash, role, tenants)
            await transaction.execute("clear_admin_setup")
        return await self.get(admin_id)

    async def change(
        self, admin_id: int, role: AdminRole, tenants: Sequence[str] | None, version: int | None = None
    ) -> Admin:
        """What an account may do from its next request on.

        Raises NotFoundError, and ConflictError where another has changed it since `version`, or where nobody would be
        left who may change everything.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute("lock_admins")
            if not await transaction.execute("update_admin", admin_id, role, tenants is None, version):
                await self._raise_missing_or_changed(admin_id)
            await set_account_tenants(transaction, admin_id, tenants)
            await _require_full_admin(transaction)
        return await self.get(admin_id)

    async def set_password(self, admin_id: int, password: str, keep_session: bytes | None = None) -> None:
        """A new password; every session of the account but `keep_session` (a hash) ends. Raises NotFoundError."""
        password_hash = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            if not await transaction.execute("set_admin_password", admin_id, password_hash):
                raise NotFoundError(f"There is no admin {admin_id}.")
            await transaction.execute("delete_other_admin_sessions", admin_id, keep_session)

    async def remove(self, admin_id: int) -> None:
        """Remove an account with its sessions and tokens, and what the person of it has connected.

        Raises NotFoundError, and ConflictError as `change` does.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute("lock_admins")
            if not await transaction.execute("delete_admin", admin_id):
                raise NotFoundError(f"There is no admin {admin_id}.")
            await _require_full_admin(transaction)
            # Of somebody who signs in elsewhere, what they have connected is theirs as long as they can.
            await transaction.fetch("delete_person_of_account", ACCOUNT_ISSUER, str(admin_id))

    @staticmethod
    def validate_name(name: str) -> None:
        """Raises InvalidInputError for a name that no account may have."""
        if not name.strip() or name != name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
            raise InvalidInputError(
                f"The name of an admin has to be 1 to {_NAME_LENGTH} printable characters without spaces around them.",
                "name",
            )

    async def _raise_missing_or_changed(self, admin_id: int) -> None:
        admin = await self.get(admin_id)
        raise ConflictError(f"{admin.name} has been changed by somebody else meanwhile; look at it again first.")


def admin_from_row(row: Row) -> Admin:
    """The account of a row that has the columns of the statement admin_columns."""
    columns = {name: row[name] for name in Admin.__dataclass_fields__}
    return Admin(**{**columns, "tenant_ids": tuple(row["tenant_ids"]), "tenants": tuple(row["tenants"])})


async def insert_account(
    transaction: DatabaseConnection,
    name: str,
    password_hash: str | None,
    role: AdminRole,
    tenants: Sequence[str] | None,
    issuer: str | None = None,
    subject: str | None = None,
) -> int:
    """Write an account within `transaction` and return its id; raises as `Accounts.create`."""
    try:
        admin_id: int = await transaction.fetchval(
            "insert_admin", name, password_hash, role, tenants is None, issuer, subject
        )
    except ConflictError:
        raise ConflictError(f"There is an admin named {name!r} already; choose another name.") from None
    await set_account_tenants(transaction, admin_id, tenants)
    return admin_id


async def set_account_tenants(transaction: DatabaseConnection, admin_id: int, tenants: Sequence[str] | None) -> None:
    """Limit an account to the tenants of these slugs, None being every; raises as `Accounts.create`."""
    await transaction.execute("delete_admin_tenants", admin_id)
    if tenants is None:
        return
    if not tenants:
        raise InvalidInputError("An admin who is limited to tenants needs at least one of them.", "tenants")
    slugs = set(tenants)
    if len(await transaction.fetch("insert_admin_tenants", admin_id, list(slugs))) != len(slugs):
        raise NotFoundError(f"One of the tenants {', '.join(sorted(slugs))} is not there.")


async def _require_full_admin(transaction: DatabaseConnection) -> None:
    if not await transaction.fetchval("count_full_admins"):
        raise ConflictError("Nobody would be left who may change everything; make another such admin first.")
