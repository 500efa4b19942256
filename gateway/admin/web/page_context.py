"""One request for a page: who makes it, in which tenant, and the ways to answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import __version__
from gateway.access.tenants import Tenant
from gateway.admin.accounts.principal import Principal
from gateway.admin.paths import HOME_PATH
from gateway.admin.problem_details import build_problem
from gateway.admin.public_url import PublicUrl
from gateway.admin.request_guard import CSRF_FIELD, Admission
from gateway.admin.services.services import Services
from gateway.admin.web.renderer import PageRenderer
from gateway.edge.root_path import root_path_of
from gateway.errors import ForbiddenError, ModelGateError


@dataclass(frozen=True, slots=True)
class FormRejection:
    """Why a form was not accepted: the HTTP status, and sentences by field, of the whole form under the empty name."""

    status: int
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PageContext:
    """One request to a page."""

    request: Request
    services: Services
    admission: Admission
    renderer: PageRenderer
    public_url: PublicUrl

    @property
    def principal(self) -> Principal:
        return self.admission.principal

    @property
    def tenant(self) -> Tenant:
        return self.admission.tenant

    @property
    def is_htmx(self) -> bool:
        """Whether only a part of a page is asked for."""
        return "hx-request" in self.request.headers

    @property
    def mcp_url(self) -> str:
        """The address of the MCP endpoint, as clients have it."""
        return f"{self.public_url.base(self.request)}/mcp"

    def path_id(self, name: str) -> int:
        """A whole number of the path."""
        return int(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """A value of the query string, without spaces around it."""
        return self.request.query_params.get(name, default).strip()

    async def form(self) -> Mapping[str, str]:
        """The text fields of the form that was submitted."""
        submitted = await self.request.form()
        return {name: value for name, value in submitted.items() if isinstance(value, str) and name != CSRF_FIELD}

    async def form_list(self, name: str) -> list[str]:
        """Every value of a form's field that may be chosen several times."""
        return [value for value in (await self.request.form()).getlist(name) if isinstance(value, str)]

    def url(self, path: str, **query: str | int | None) -> str:
        """The address of a page of the same tenant, to go on to; parameters that are None or empty are left out."""
        slug = self.admission.tenant_or_none.slug if self.admission.tenant_or_none is not None else "default"
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{HOME_PATH}/t/{quote(slug)}{path}{'?' if given else ''}{urlencode(given)}"

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """The template as a page or a fragment of one."""
        return self.renderer.response(self.request, template, {**self._globals, "errors": {}, **values}, status)

    def render_fragment(self, template: str, **values: Any) -> str:
        """The template as text, for a stream."""
        return self.renderer.render(template, {**self._globals, **values})

    def rejection(self, error: ModelGateError | None) -> FormRejection:
        """What a page says of an error of one of its forms, nothing for None.

        What the account may not do is told to the audit log.
        """
        if error is None:
            return FormRejection(200, {})
        if isinstance(error, ForbiddenError):
            self.admission.record_denial()
        return FormRejection(build_problem(error).status, errors_by_field(error))

    def render_form_errors(
        self,
        template: str,
        error: ModelGateError,
        submitted: Mapping[str, Any],
        also: tuple[str, ...] = (),
        input_names: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """The form again with what was submitted, and each error at its field.

        `input_names` has the form's own name of a field where it differs. What is about a field that was not
        submitted, and that is not in `also`, stands above the form.
        """
        rejection = self.rejection(error)
        errors: dict[str, str] = {}
        for field, sentence in rejection.errors.items():
            name = (input_names or {}).get(field, field)
            name = name if name in submitted or name in also else ""
            errors[name] = f"{errors[name]} {sentence}" if name in errors else sentence
        return self.render(template, rejection.status, submitted=submitted, errors=errors, **values)

    def redirect(self, path: str, **query: str | int | None) -> Response:
        """Go on to a page of the same tenant."""
        return self.redirect_to(self.url(path, **query))

    def redirect_to(self, address: str) -> Response:
        """Go on to an address of this gateway."""
        if self.is_htmx:
            return Response(status_code=204, headers={"HX-Redirect": address})
        return RedirectResponse(address, 303)

    @property
    def _globals(self) -> dict[str, Any]:
        root = root_path_of(self.request.scope)
        return {
            "principal": self.principal,
            "current_tenant": self.admission.tenant_or_none,
            "root": root,
            "url": lambda path, **query: root + self.url(path, **query),
            "csrf_field": CSRF_FIELD,
            "version": __version__,
            "csrf_token": self.principal.csrf_token or "",
        }


def errors_by_field(error: ModelGateError) -> dict[str, str]:
    """Sentences by field; what belongs to no field stands under the empty name."""
    errors: dict[str, str] = {}
    for problem in build_problem(error).errors:
        errors.setdefault(problem.field.partition(".")[0], problem.detail)
    return errors or {"": error.message}
