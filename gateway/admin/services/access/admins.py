"""The people who run the gateway, and the API tokens of their scripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AwareDatetime, Field

from gateway.admin.accounts.account import Accounts, Admin, AdminRole
from gateway.admin.accounts.principal import Principal
from gateway.admin.accounts.token import ApiToken, ApiTokens, NewApiToken
from gateway.admin.request_input import FORBID_EXTRA
from gateway.errors import ConflictError, InvalidInputError

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Password = Annotated[str, Field(min_length=1, max_length=1_000)]


@dataclass(frozen=True, slots=True)
class AdminInput:
    """An account to be made. Without `tenants` it is for every tenant, else for those of these slugs."""

    name: _Name
    password: _Password = field(repr=False)
    role: AdminRole = "admin"
    tenants: tuple[_Name, ...] | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class AdminChange:
    """What an account may do from now on; `version` is that of the account when it was looked at."""

    role: AdminRole
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    tenants: tuple[_Name, ...] | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class PasswordInput:
    """A new password for somebody else's account."""

    password: _Password = field(repr=False)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class TokenInput:
    """An API token to be made; it may do what `role` may, and never more than its admin."""

    name: _Name
    role: AdminRole = "viewer"
    expires_at: AwareDatetime | None = None

    __pydantic_config__ = FORBID_EXTRA


class AdminService:
    """Accounts and tokens."""

    def __init__(self, accounts: Accounts, tokens: ApiTokens) -> None:
        self._accounts = accounts
        self._tokens = tokens

    async def list(self) -> list[Admin]:
        """Every account, by name."""
        return await self._accounts.list()

    async def get(self, admin_id: int) -> Admin:
        """One account. Raises NotFoundError."""
        return await self._accounts.get(admin_id)

    async def create(self, new: AdminInput) -> Admin:
        """Make an account; raises as `Accounts.create`."""
        return await self._accounts.create(new.name, new.password, new.role, new.tenants)

    async def change(self, admin_id: int, change: AdminChange) -> Admin:
        """Change what an account may do; raises as `Accounts.change`."""
        return await self._accounts.change(admin_id, change.role, change.tenants, change.version)

    async def set_password(self, admin_id: int, password: PasswordInput) -> None:
        """Set the password of an account; its sessions end. Raises InvalidInputError, NotFoundError."""
        await self._accounts.set_password(admin_id, password.password)

    async def remove(self, admin_id: int, principal: Principal) -> None:
        """Remove an account, not one's own. Raises NotFoundError, ConflictError."""
        if admin_id == principal.admin.id:
            raise ConflictError("Nobody removes their own account; ask another admin.")
        await self._accounts.remove(admin_id)

    async def tokens(self, principal: Principal) -> tuple[ApiToken, ...]:
        """One's own tokens, newest first."""
        return tuple(await self._tokens.list(principal.admin.id))

    async def create_token(self, principal: Principal, new: TokenInput) -> NewApiToken:
        """Make a token of one's own. Raises InvalidInputError for one that could do more than who asks."""
        if new.role == "admin" and not principal.may_write:
            raise InvalidInputError("role has to be viewer; a viewer's token may do no more than a viewer.", "role")
        return await self._tokens.create(principal.admin.id, new.name, new.role, new.expires_at)

    async def remove_token(self, principal: Principal, token_id: int) -> None:
        """End one of one's own tokens. Raises NotFoundError."""
        await self._tokens.remove(principal.admin.id, token_id)
