"""The two addresses of a sign-in at an OpenID provider: where it begins, and where the browser comes back to."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.admin.accounts.authenticator import Authenticator
from gateway.admin.accounts.openid import OpenId
from gateway.admin.guard import Guard, address_of
from gateway.admin.problem import problem_response
from gateway.errors import ModelGateError, OpenIdError

BEGIN = "/auth/openid"
CALLBACK = "/auth/openid/callback"
SIGN_IN_PAGE = "/signin"

_COOKIE = "modelgate_openid"
_COOKIE_SECONDS = 600


class OpenIdRoutes:
    """Sends browsers to the provider and takes them back."""

    def __init__(self, openid: OpenId, entrance: Authenticator, guard: Guard) -> None:
        self._openid = openid
        self._entrance = entrance
        self._guard = guard

    def routes(self) -> list[Route]:
        """Both of them."""
        return [Route(BEGIN, self._begin), Route(CALLBACK, self._come_back)]

    async def _begin(self, request: Request) -> Response:
        try:
            self._guard.check_host(request)
            departure = await self._openid.begin(request.query_params.get("next", "/"), self._callback(request))
        except OpenIdError as error:
            return _failed(error)
        except ModelGateError as error:
            return problem_response(error)
        response = RedirectResponse(departure.url, status_code=303)
        secure = urlsplit(self._callback(request)).scheme == "https"
        response.set_cookie(
            _COOKIE, departure.state, _COOKIE_SECONDS, path=BEGIN, secure=secure, httponly=True, samesite="lax"
        )
        return response

    async def _come_back(self, request: Request) -> Response:
        try:
            self._guard.check_host(request)
            state = request.cookies.get(_COOKIE)
            arrival = await self._openid.complete(dict(request.query_params), state, self._callback(request))
            signed_in = await self._entrance.open(arrival.admin, address_of(request))
        except OpenIdError as error:
            return _failed(error)
        except ModelGateError as error:
            return problem_response(error)
        response = RedirectResponse(arrival.return_to, status_code=303)
        self._guard.give_session(request, response, signed_in)
        response.delete_cookie(_COOKIE, path=BEGIN)
        return response

    def _callback(self, request: Request) -> str:
        return self._guard.base_url(request) + CALLBACK


def _failed(error: OpenIdError) -> Response:
    return RedirectResponse(f"{SIGN_IN_PAGE}?{urlencode({'failed': error.code})}", status_code=303)
