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
from gateway.admin.public_url import PublicUrl
from gateway.admin.request_guard import Admission, Requirement
from gateway.admin.services.services import Services
from gateway.admin.session_cookie import SessionCookie

API_PREFIX = "/api/v1"
EVENT_STREAM = "text/event-stream"

_SAFE_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class RestContext:
    """One request to an operation: who was admitted, into which tenant, and what can be done."""

    request: Request
    services: Services
    admission: Admission
    cookie: SessionCookie
    public_url: PublicUrl

    @property
    def principal(self) -> Principal:
        return self.admission.principal

    @property
    def tenant(self) -> Tenant:
        return self.admission.tenant


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` is below /api/v1, with `{name}` for parameters, which are whole numbers unless annotated as str.

    `public`: without signing in. `write`: needs an admin. `own_account`: concerns the account that asks, so a viewer
    may do it. `gateway_wide`: concerns the whole gateway, not a tenant. `parameters` are those of the path, by name
    and type; `query` and `body` are dataclasses, `returns` what is answered with `status` as `media`.
    """

    method: str
    path: str
    tag: str
    name: str
    summary: str
    description: str
    handle: Callable[..., Awaitable[Any]]
    public: bool
    write: bool
    own_account: bool
    gateway_wide: bool
    parameters: tuple[tuple[str, Any], ...]
    query: Any
    body: Any
    returns: Any
    status: int
    media: tuple[str, ...]

    @property
    def in_tenant(self) -> bool:
        return not (self.public or self.own_account or self.gateway_wide)

    @property
    def requirement(self) -> Requirement:
        """What it takes to be admitted."""
        return Requirement(
            f"api.{self.name}",
            public=self.public,
            write=self.write,
            gateway_wide=self.gateway_wide,
            in_tenant=self.in_tenant,
        )


def operation(
    method: str,
    path: str,
    *,
    public: bool = False,
    write: bool | None = None,
    own_account: bool = False,
    gateway_wide: bool = False,
    status: int | None = None,
    returns: Any = None,
    media: tuple[str, ...] = ("application/json",),
) -> Callable[[Callable[..., Awaitable[Any]]], Operation]:
    """Declare the decorated function as an operation.

    It is given the RestContext, then by name what of `query`, `body` and the path's parameters it takes. Its
    docstring's first line is the summary, the rest the description. `returns` is for functions that build the response
    themselves.
    """

    def declare(handle: Callable[..., Awaitable[Any]]) -> Operation:
        hints = typing.get_type_hints(handle, include_extras=True)
        result = hints.pop("return")
        if result is Response or returns is not None:
            result = returns
        names = re.findall(r"\{([a-z_]+)\}", path)
        summary, _, description = (inspect.getdoc(handle) or "").partition("\n")
        result = None if result is type(None) else result
        return Operation(
            method=method,
            path=path,
            tag=path.split("/")[1],
            name=handle.__name__,
            summary=summary,
            description=description.strip(),
            handle=handle,
            public=public,
            write=(method not in _SAFE_METHODS and not public and not own_account) if write is None else write,
            own_account=own_account,
            gateway_wide=gateway_wide,
            parameters=tuple((name, hints[name]) for name in names),
            query=hints.get("query"),
            body=hints.get("body"),
            returns=result,
            status=status or (200 if result is not None else 204),
            media=media,
        )

    return declare
