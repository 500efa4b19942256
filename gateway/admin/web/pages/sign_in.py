"""Coming in and going out: the first start, signing in, signing out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.admin.application import AdminApplication
from gateway.admin.guard import address_of
from gateway.admin.problem import problem_of
from gateway.admin.web.frame import Frame
from gateway.admin.web.visit import HOME, SIGN_IN, errors_of
from gateway.errors import AccessError, ModelGateError, SignInRequiredError
from gateway.settings import AdminSettings

_ELSEWHERE = "Signing in did not work; try again."

Answer = Callable[[Request], Awaitable[Response]]


class Door:
    """The pages that are there without a session."""

    def __init__(self, admin: AdminApplication, settings: AdminSettings, frame: Frame) -> None:
        self._entrance = admin.actions.entrance
        self._link = admin.setup
        self._guard = admin.guard
        self._openid = bool(settings.openid_issuer)
        self._frame = frame

    def routes(self) -> list[tuple[str, Answer]]:
        """Addresses with what answers there, whatever the method."""
        return [(HOME, self._home), (SIGN_IN, self._sign_in), ("/setup", self._setup), ("/signout", self._sign_out)]

    async def _home(self, request: Request) -> Response:
        principal = await self._guard.principal(request)
        tenant = await self._guard.tenant_named(None, principal)
        return RedirectResponse(f"{HOME}/t/{tenant.slug}/overview", 303)

    async def _sign_in(self, request: Request) -> Response:
        going = _local(request.query_params.get("next", ""))
        if request.method != "POST":
            try:
                await self._guard.principal(request)
            except SignInRequiredError:
                failed = request.query_params.get("failed")
                error = (
                    None
                    if failed is None
                    else AccessError("Signing in there did not work; try again, or ask another admin.")
                )
                return self._page(request, "sign_in.html", error, going=going)
            return RedirectResponse(going, 303)
        form = await request.form()
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        try:
            signed_in = await self._entrance.sign_in(name, password, address_of(request))
        except ModelGateError as error:
            return self._page(request, "sign_in.html", error, going=going, sent={"name": name})
        response = RedirectResponse(going, 303)
        self._guard.give_session(request, response, signed_in)
        return response

    async def _setup(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if request.method != "POST":
            valid = await self._link.valid(token)
            return self._page(request, "setup.html", valid=valid)
        form = await request.form()
        name, password = str(form.get("name", "")).strip(), str(form.get("password", ""))
        try:
            signed_in = await self._entrance.complete_setup(token, name, password, address_of(request))
        except ModelGateError as error:
            valid = await self._link.valid(token)
            return self._page(request, "setup.html", error, valid=valid, sent={"name": name})
        response = RedirectResponse(HOME, 303)
        self._guard.give_session(request, response, signed_in)
        return response

    async def _sign_out(self, request: Request) -> Response:
        response = RedirectResponse(SIGN_IN, 303)
        if request.method == "POST":
            try:
                principal = await self._guard.principal(request)
            except SignInRequiredError:
                return response
            await self._guard.check_csrf(request, principal)
            await self._entrance.sign_out(principal)
            self._guard.take_session(request, response)
        return response

    def _page(self, request: Request, template: str, error: ModelGateError | None = None, **values: Any) -> Response:
        errors = {} if error is None else errors_of(error)
        status = 200 if error is None else problem_of(error).status
        return self._frame.page(
            request, template, {"errors": errors, "sent": {}, "openid": self._openid, **values}, status
        )


def _local(address: str) -> str:
    """`address` where it is a page of this gateway, else the first page: nobody is to be led elsewhere."""
    inside = address == HOME or address.startswith((f"{HOME}/", f"{HOME}?"))
    return address if inside and "\\" not in address and "\n" not in address else HOME
