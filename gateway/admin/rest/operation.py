"""An operation of the REST API: what it takes and gives is told by the types of the function that does it."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.access.tenants import Tenant
from gateway.admin.accounts.principal import Principal
from gateway.admin.guard import Guard
from gateway.admin.services import Services

EVENTS = "text/event-stream"

_SAFE = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class RestContext:
    """One request to an operation: who makes it, about which tenant, from which address, and what can be done."""

    actions: Services
    guard: Guard
    request: Request
    address: str
    given_principal: Principal | None
    given_tenant: Tenant | None

    @property
    def principal(self) -> Principal:
        assert self.given_principal is not None
        return self.given_principal

    @property
    def tenant(self) -> Tenant:
        assert self.given_tenant is not None
        return self.given_tenant


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` is below /api/v1, with `{name}` for parameters, which are whole numbers unless annotated as str.

    `open`: without signing in. `changes`: needs an admin, and a CSRF token where it comes with a session.
    `own`: concerns the account that asks; a viewer may do it, with a CSRF token.
    `everywhere`: concerns the whole gateway, not a tenant. `parameters` are those of the path, by name and type;
    `query` and `body` are dataclasses, `returns` what is answered with `status` as `media`.
    """

    method: str
    path: str
    tag: str
    name: str
    summary: str
    description: str
    handle: Callable[..., Awaitable[Any]]
    open: bool
    changes: bool
    own: bool
    everywhere: bool
    parameters: tuple[tuple[str, Any], ...]
    query: Any
    body: Any
    returns: Any
    status: int
    media: tuple[str, ...]

    @property
    def of_tenant(self) -> bool:
        return not (self.open or self.own or self.everywhere)


def operation(
    method: str,
    path: str,
    *,
    open: bool = False,  # noqa: A002
    changes: bool | None = None,
    own: bool = False,
    everywhere: bool = False,
    status: int | None = None,
    returns: Any = None,
    media: tuple[str, ...] = ("application/json",),
) -> Callable[[Callable[..., Awaitable[Any]]], Operation]:
    """Declare the decorated function as an operation.

    It is given the `Visit`, then by name what of `query`, `body` and the path's parameters it takes. Its docstring's
    first line is the summary, the rest the description. `returns` is for functions that build the response themselves.
    """

    def declare(handle: Callable[..., Awaitable[Any]]) -> Operation:
        hints = typing.get_type_hints(handle, include_extras=True)
        gives = hints.pop("return")
        if gives is Response or returns is not None:
            gives = returns
        names = re.findall(r"\{([a-z_]+)\}", path)
        summary, _, description = (inspect.getdoc(handle) or "").partition("\n")
        gives = None if gives is type(None) else gives
        return Operation(
            method=method,
            path=path,
            tag=path.split("/")[1],
            name=handle.__name__,
            summary=summary,
            description=description.strip(),
            handle=handle,
            open=open,
            changes=(method not in _SAFE and not open and not own) if changes is None else changes,
            own=own,
            everywhere=everywhere,
            parameters=tuple((name, hints[name]) for name in names),
            query=hints.get("query"),
            body=hints.get("body"),
            returns=gives,
            status=status or (200 if gives is not None else 204),
            media=media,
        )

    return declare
