"""The two addresses of a sign-in at an OpenID provider: where it begins, and where the browser comes back to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.access.connections.oauth.provider_sign_ins import ProviderSignIns
from gateway.admin.accounts.authenticator import Authenticator
from gateway.admin.accounts.openid import OpenIdClient
from gateway.admin.accounts.person_session import PersonSessions
from gateway.admin.paths import CONNECTIONS_PATH, SIGN_IN_PATH
from gateway.admin.problem_details import problem_response
from gateway.admin.public_url import PublicUrl
from gateway.admin.request_guard import RequestGuard, Requirement, client_address
from gateway.admin.session_cookie import SessionCookie
from gateway.edge.root_path import root_path_of
from gateway.errors import ModelGateError, OpenIdError

BEGIN_PATH = "/auth/openid"
CALLBACK_PATH = "/auth/openid/callback"

_COOKIE = "modelgate_openid"
_COOKIE_SECONDS = 600
_PUBLIC = Requirement("openid", public=True)


class OpenIdRoutes:
    """Sends browsers to the provider and takes them back."""

    def __init__(
        self,
        openid: OpenIdClient,
        authenticator: Authenticator,
        guard: RequestGuard,
        cookie: SessionCookie,
        public_url: PublicUrl,
        persons: PersonSessions,
        person_cookie: SessionCookie,
        provider_sign_ins: ProviderSignIns,
    ) -> None:
        self._openid = openid
        self._authenticator = authenticator
        self._guard = guard
        self._cookie = cookie
        self._public_url = public_url
        self._persons = persons
        self._person_cookie = person_cookie
        self._provider_sign_ins = provider_sign_ins

    def routes(self) -> list[Route]:
        """Both of them."""
        return [
            Route(BEGIN_PATH, self._guarded(self._begin)),
            Route(CALLBACK_PATH, self._guarded(self._complete)),
        ]

    def _guarded(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                async with self._guard.admit(request, _PUBLIC):
                    return await handle(request)
            except OpenIdError as error:
                return RedirectResponse(f"{SIGN_IN_PATH}?{urlencode({'failed': error.code})}", status_code=303)
            except ModelGateError as error:
                return problem_response(error)

        return answer

    async def _begin(self, request: Request) -> Response:
        return_to = request.query_params.get("next", "/")
        authorization = await self._openid.begin_sign_in(return_to, self._callback_url(request))
        response = RedirectResponse(authorization.url, status_code=303)
        response.set_cookie(
            _COOKIE,
            authorization.state,
            _COOKIE_SECONDS,
            path=root_path_of(request.scope) + BEGIN_PATH,
            secure=self._public_url.is_https(request),
            httponly=True,
            samesite="lax",
        )
        return response

    async def _complete(self, request: Request) -> Response:
        state = request.cookies.get(_COOKIE)
        sign_in = await self._openid.complete_sign_in(dict(request.query_params), state, self._callback_url(request))
        await self._provider_sign_ins.record(sign_in.identity, sign_in.name, sign_in.tokens)
        if sign_in.admin is None:
            session = await self._persons.open(sign_in.identity, sign_in.name, client_address(request))
            inside = sign_in.return_to.startswith(CONNECTIONS_PATH)
            response = RedirectResponse(sign_in.return_to if inside else CONNECTIONS_PATH, status_code=303)
            self._person_cookie.set(request, response, session)
            # Whoever signed in last is who the browser's next request is from.
            self._cookie.delete(request, response)
        else:
            opened = await self._authenticator.open_session(sign_in.admin, client_address(request))
            response = RedirectResponse(sign_in.return_to, status_code=303)
            self._cookie.set(request, response, opened.session)
            self._person_cookie.delete(request, response)
        response.delete_cookie(_COOKIE, path=root_path_of(request.scope) + BEGIN_PATH)
        return response

    def _callback_url(self, request: Request) -> str:
        return self._public_url.base(request) + CALLBACK_PATH
