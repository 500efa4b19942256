"""Coming in and going out: the first start, signing in, signing out."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.admin.accounts.authenticator import Authenticator, NewSession
from gateway.admin.accounts.setup import FirstAdminSetup
from gateway.admin.paths import CONNECTIONS_PATH, HOME_PATH, SIGN_IN_PATH
from gateway.admin.problem_details import build_problem
from gateway.admin.request_guard import Admission, RequestGuard, Requirement
from gateway.admin.session_cookie import SessionCookie
from gateway.admin.web.error_page import PageEndpoint
from gateway.admin.web.page_context import errors_by_field
from gateway.admin.web.renderer import PageRenderer
from gateway.errors import AccessError, ModelGateError, SignInRequiredError

SETUP_PATH = "/setup"
SIGN_OUT_PATH = "/signout"

_Handler = Callable[[Request, Admission], Awaitable[Response]]


class SignInPages:
    """The pages that are there without a session, and the way on from them."""

    def __init__(
        self,
        authenticator: Authenticator,
        setup: FirstAdminSetup,
        guard: RequestGuard,
        cookie: SessionCookie,
        person_cookie: SessionCookie,
        renderer: PageRenderer,
        *,
        openid: bool,
    ) -> None:
        """`openid`: people may sign in at a provider, too."""
        self._authenticator = authenticator
        self._setup_link = setup
        self._guard = guard
        self._cookie = cookie
        self._person_cookie = person_cookie
        self._renderer = renderer
        self._openid = openid

    def routes(self) -> list[Route]:
        """One route for each, whatever the method."""
        return [
            self._route(HOME_PATH, self._home, Requirement("page.home", in_tenant=True)),
            self._route(SIGN_IN_PATH, self._sign_in, Requirement("page.sign_in", public=True)),
            self._route(SETUP_PATH, self._setup, Requirement("page.setup", public=True)),
            Route(SIGN_OUT_PATH, PageEndpoint(self._renderer, self._sign_out)),
        ]

    def _route(self, path: str, handle: _Handler, requirement: Requirement) -> Route:
        async def answer(request: Request) -> Response:
            async with self._guard.admit(request, requirement) as admission:
                return await handle(request, admission)

        return Route(path, PageEndpoint(self._renderer, answer))

    async def _home(self, request: Request, admission: Admission) -> Response:
        return RedirectResponse(f"{HOME_PATH}/t/{admission.tenant.slug}/overview", 303)

    async def _sign_in(self, request: Request, admission: Admission) -> Response:
        return_to = _admin_path(request.query_params.get("next", ""))
        if request.method != "POST":
            try:
                await self._guard.authenticate(request)
            except SignInRequiredError:
                failed = "failed" in request.query_params
                error = AccessError("Signing in there did not work; try again, or ask another admin.")
                return self._page(request, "sign_in.html", error if failed else None, return_to=return_to)
            return RedirectResponse(return_to, 303)
        form = await request.form()
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        try:
            opened = await self._authenticator.sign_in(name, password, admission.address)
        except ModelGateError as error:
            return self._page(request, "sign_in.html", error, return_to=return_to, submitted={"name": name})
        return self._signed_in(request, opened, return_to)

    async def _setup(self, request: Request, admission: Admission) -> Response:
        token = request.query_params.get("token", "")
        if request.method != "POST":
            return self._page(request, "setup.html", valid=await self._setup_link.is_valid(token))
        form = await request.form()
        name, password = str(form.get("name", "")).strip(), str(form.get("password", ""))
        try:
            opened = await self._authenticator.complete_setup(token, name, password, admission.address)
        except ModelGateError as error:
            valid = await self._setup_link.is_valid(token)
            return self._page(request, "setup.html", error, valid=valid, submitted={"name": name})
        return self._signed_in(request, opened, HOME_PATH)

    async def _sign_out(self, request: Request) -> Response:
        response = RedirectResponse(SIGN_IN_PATH, 303)
        requirement = Requirement("page.sign_out", public=request.method != "POST")
        with contextlib.suppress(SignInRequiredError):
            async with self._guard.admit(request, requirement) as admission:
                if admission.principal_or_none is not None:
                    await self._authenticator.sign_out(admission.principal_or_none)
                    self._cookie.delete(request, response)
        return response

    def _signed_in(self, request: Request, opened: NewSession, path: str) -> Response:
        response = RedirectResponse(path, 303)
        self._cookie.set(request, response, opened.session)
        self._person_cookie.delete(request, response)
        return response

    def _page(self, request: Request, template: str, error: ModelGateError | None = None, **values: Any) -> Response:
        errors = {} if error is None else errors_by_field(error)
        status = 200 if error is None else build_problem(error).status
        return self._renderer.response(
            request, template, {"errors": errors, "submitted": {}, "openid": self._openid, **values}, status
        )


def _admin_path(address: str) -> str:
    """`address` where it is a page of this gateway, else the first page: nobody is to be led elsewhere."""
    begins = tuple(f"{path}{mark}" for path in (HOME_PATH, CONNECTIONS_PATH) for mark in "/?")
    inside = address in (HOME_PATH, CONNECTIONS_PATH) or address.startswith(begins)
    return address if inside and "\\" not in address and "\n" not in address else HOME_PATH
