"""A page, or the answer to one of its forms, declared beside the function that makes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from gateway.admin.request_guard import Requirement
from gateway.admin.web.page_context import PageContext

PageHandler = Callable[[PageContext], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """`path` is below the tenant's address, or below /admin where the page concerns the whole gateway
    (`gateway_wide`) or the account that asks (`own_account`).

    `write`: needs an admin, not a viewer. The function's name is what a refusal goes by in the audit log.
    """

    method: str
    path: str
    handle: PageHandler
    gateway_wide: bool = False
    write: bool = False
    own_account: bool = False

    @property
    def in_tenant(self) -> bool:
        return not (self.gateway_wide or self.own_account)

    @property
    def requirement(self) -> Requirement:
        """What it takes to be admitted."""
        return Requirement(
            f"page.{self.handle.__name__}",
            write=self.write,
            gateway_wide=self.gateway_wide,
            in_tenant=self.in_tenant,
        )


def get(
    path: str, handle: PageHandler, *, gateway_wide: bool = False, own_account: bool = False, write: bool = False
) -> Page:
    """A page to look at. `write`: it is for admins only."""
    return Page("GET", path, handle, gateway_wide, write, own_account)


def post(path: str, handle: PageHandler, *, gateway_wide: bool = False, own_account: bool = False) -> Page:
    """The answer to a form; a viewer may send those about their own account."""
    return Page("POST", path, handle, gateway_wide, not own_account, own_account)
