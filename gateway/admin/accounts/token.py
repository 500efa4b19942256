"""API tokens: what scripts use in place of a session."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from gateway.admin.accounts.account import AdminRole, admin_from_row
from gateway.admin.accounts.principal import Principal
from gateway.admin.accounts.secret import generate_secret, hash_secret
from gateway.database.pool import Database
from gateway.errors import InvalidInputError, NotFoundError

PREFIX = "mga_"

_TOKEN_PATTERN = re.compile(r"mga_[0-9a-f]{64}")
_HINT_LENGTH = 10
_TOUCH_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What a list shows of a token; `hint` is its first characters."""

    id: int
    name: str
    hint: str
    role: AdminRole
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewApiToken:
    """A token that was just made. `token` is the only time it is seen."""

    id: int
    name: str
    role: AdminRole
    expires_at: datetime | None
    token: str


class ApiTokens:
    """The API tokens of admins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, admin_id: int, name: str, role: AdminRole, expires_at: datetime | None) -> NewApiToken:
        """Make a token that may do what `role` may, and never more than its admin."""
        if expires_at is not None and expires_at <= datetime.now(timezone.utc):
            raise InvalidInputError("expires_at lies in the past; a token has to be of use for a while.", "expires_at")
        token = generate_secret(PREFIX)
        row = await self._database.fetchrow(
            "insert_admin_token", admin_id, name, hash_secret(token), token[:_HINT_LENGTH], role, expires_at
        )
        assert row is not None
        return NewApiToken(row["id"], name, role, expires_at, token)

    async def list(self, admin_id: int) -> list[ApiToken]:
        """The tokens of an admin, newest first."""
        return [ApiToken(**row) for row in await self._database.fetch("list_admin_tokens", admin_id)]

    async def remove(self, admin_id: int, token_id: int) -> None:
        """End a token at once. Raises NotFoundError."""
        if not await self._database.execute("delete_admin_token", admin_id, token_id):
            raise NotFoundError(f"You have no token {token_id}.")

    async def authenticate(self, token: str) -> Principal | None:
        """Who a token belongs to; None when it is not in force."""
        if not _TOKEN_PATTERN.fullmatch(token):
            return None
        row = await self._database.fetchrow("admin_token", hash_secret(token))
        if row is None:
            return None
        if row["used_at"] is None or datetime.now(timezone.utc) - row["used_at"] > _TOUCH_AFTER:
            await self._database.execute("touch_admin_token", row["token_id"])
        admin = admin_from_row(row)
        role: AdminRole = "viewer" if "viewer" in (admin.role, row["token_role"]) else "admin"
        return Principal(admin, "token", role)
