"""Who makes a request, and what they may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.admin.accounts.account import Admin, AdminRole
from gateway.errors import ForbiddenError


@dataclass(frozen=True, slots=True)
class Principal:
    """An admin who has been let in, by a session in a browser or by an API token.

    `role` is what counts: a token may do less than its admin. `session_hash` is that of the session, `csrf_token` what
    a change has to carry; both are None for a token.
    """

    admin: Admin
    via: Literal["session", "token"]
    role: AdminRole
    session_hash: bytes | None = None
    csrf_token: str | None = None

    @property
    def may_write(self) -> bool:
        return self.role == "admin"

    def may_enter(self, tenant_id: int) -> bool:
        return self.admin.every_tenant or tenant_id in self.admin.tenant_ids

    def require_write(self) -> None:
        """Raises ForbiddenError for a viewer."""
        if not self.may_write:
            raise ForbiddenError("This needs an admin; a viewer may look and not change.")

    def require_every_tenant(self) -> None:
        """Raises ForbiddenError for who is limited to tenants: the thing concerns the whole gateway."""
        if not self.admin.every_tenant:
            raise ForbiddenError("This concerns the whole gateway; an admin who is limited to tenants may not do it.")
