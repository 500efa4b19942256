"""One request for a page: who makes it, in which tenant, and the ways to answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.access.tenants import Tenant
from gateway.admin.accounts.principal import Principal
from gateway.admin.guard import CSRF_FIELD, Guard, address_of
from gateway.admin.problem import problem_of
from gateway.admin.services import Services
from gateway.admin.web.frame import Frame
from gateway.errors import ModelGateError

HOME = "/admin"
SIGN_IN = "/signin"


@dataclass(frozen=True, slots=True)
class PageContext:
    """One request. `given_tenant` is None on pages about the whole gateway."""

    request: Request
    actions: Services
    guard: Guard
    frame: Frame
    principal: Principal
    given_tenant: Tenant | None

    @property
    def tenant(self) -> Tenant:
        assert self.given_tenant is not None
        return self.given_tenant

    @property
    def address(self) -> str:
        return address_of(self.request)

    @property
    def by_htmx(self) -> bool:
        """Whether only a part of a page is asked for."""
        return "hx-request" in self.request.headers

    def number(self, name: str) -> int:
        """A whole number of the path."""
        return int(self.request.path_params[name])

    def asked(self, name: str, otherwise: str = "") -> str:
        """A value of the query string."""
        return self.request.query_params.get(name, otherwise).strip()

    async def form(self) -> Mapping[str, str]:
        """The text fields of the form that was sent."""
        sent = await self.request.form()
        return {name: value for name, value in sent.items() if isinstance(value, str) and name != CSRF_FIELD}

    async def chosen(self, name: str) -> list[str]:
        """Every value of a form's field that may be chosen several times."""
        return [value for value in (await self.request.form()).getlist(name) if isinstance(value, str)]

    def url(self, path: str, **query: str | int | None) -> str:
        """The address of a page of the same tenant."""
        slug = self.given_tenant.slug if self.given_tenant is not None else "default"
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{HOME}/t/{quote(slug)}{path}{'?' if given else ''}{urlencode(given)}"

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """The template as a page or part of one."""
        own = {
            "visit": self,
            "url": self.url,
            "me": self.principal,
            "csrf": self.principal.csrf_token or "",
            "csrf_field": CSRF_FIELD,
            "errors": {},
            "path": self.request.url.path,
        }
        return self.frame.page(self.request, template, {**own, **values}, status)

    def part(self, template: str, **values: Any) -> str:
        """The template as text, for a stream."""
        own = {"visit": self, "url": self.url, "me": self.principal, "csrf": self.principal.csrf_token or ""}
        return self.frame.render(template, {**own, "csrf_field": CSRF_FIELD, **values})

    def refused(
        self,
        template: str,
        error: ModelGateError,
        sent: Mapping[str, Any],
        also: tuple[str, ...] = (),
        renamed: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """The form again with what was typed, and each error at its field.

        `renamed` has the form's own name of a field where it differs. What is about a field that was not sent, and
        that is not in `also`, stands above the form.
        """
        errors: dict[str, str] = {}
        for field, sentence in errors_of(error).items():
            name = (renamed or {}).get(field, field)
            place = name if name in sent or name in also else ""
            errors[place] = f"{errors[place]} {sentence}" if place in errors else sentence
        return self.page(template, problem_of(error).status, sent=sent, errors=errors, **values)

    def to(self, path: str, **query: str | int | None) -> Response:
        """Go on to a page of the same tenant."""
        return self.to_address(self.url(path, **query))

    def to_address(self, address: str) -> Response:
        if self.by_htmx:
            return Response(status_code=204, headers={"HX-Redirect": address})
        return RedirectResponse(address, 303)


def errors_of(error: ModelGateError) -> dict[str, str]:
    """Sentences by field; what belongs to no field stands under the empty name."""
    found: dict[str, str] = {}
    for problem in problem_of(error).errors:
        found.setdefault(problem.field.partition(".")[0], problem.detail)
    return found or {"": error.message}
