"""The routes of the pages: who may come in, in which tenant, and what is said where something is wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gateway.admin.application import AdminApplication
from gateway.admin.guard import Guard, actor_of, address_of
from gateway.admin.problem import problem_of
from gateway.admin.services import Services
from gateway.admin.web.assets import PREFIX, Assets
from gateway.admin.web.frame import Frame
from gateway.admin.web.page import Page
from gateway.admin.web.page_list import PAGES
from gateway.admin.web.pages.sign_in import Answer, Door
from gateway.admin.web.visit import HOME, SIGN_IN, PageContext
from gateway.database.actor import acting_as
from gateway.errors import HttpError, ModelGateError, NotFoundError, SignInRequiredError
from gateway.settings import Settings

logger = logging.getLogger(__name__)

_TENANT = f"{HOME}/t/{{tenant}}"


def page_routes(admin: AdminApplication, settings: Settings) -> list[BaseRoute]:
    """Every page, what they load, and the way from the root to the first of them."""
    assets = Assets()
    frame = Frame(assets)
    site = Site(admin.actions, admin.guard, frame, settings.server.max_body_bytes)
    door = Door(admin, settings.admin, frame)
    return [
        Route("/", _home),
        Route(f"{PREFIX}/{{path}}", assets.serve),
        *(Route(path, _Answered(site, answer)) for path, answer in door.routes()),
        *site.routes(PAGES),
        Route(f"{HOME}/{{path:path}}", _Answered(site, _nothing)),
    ]


class Site:
    """Makes routes of pages."""

    def __init__(self, actions: Services, guard: Guard, frame: Frame, maximum_body_bytes: int) -> None:
        self._actions = actions
        self._guard = guard
        self._frame = frame
        self._maximum = maximum_body_bytes

    def routes(self, pages: Iterable[Page]) -> list[BaseRoute]:
        """One route for each path, whatever the methods."""
        by_path: dict[str, list[Page]] = {}
        for page in pages:
            by_path.setdefault((HOME if page.everywhere or page.own else _TENANT) + page.path, []).append(page)
        return [self._route(path, of_path) for path, of_path in by_path.items()]

    def _route(self, path: str, pages: Sequence[Page]) -> Route:
        by_method = {page.method: page for page in pages}

        async def answer(request: Request) -> Response:
            page = by_method.get("GET" if request.method == "HEAD" else request.method)
            if page is None:
                if "GET" in by_method or request.method != "GET":
                    raise HttpError(405, "That cannot be done at this address.", Allow=", ".join(by_method))
                # Where a form was sent to is no page to look at: back to where there is one, as after signing in.
                return RedirectResponse(request.url.path.rpartition("/")[0] or HOME, 303)
            return await self._answer(page, request)

        return Route(path, _Answered(self, answer))

    async def _answer(self, page: Page, request: Request) -> Response:
        principal = await self._guard.principal(request)
        self.check_size(request)
        await self._guard.check_csrf(request, principal)
        if page.changes:
            principal.require_change()
        if page.everywhere:
            principal.require_every_tenant()
        slug = request.path_params.get("tenant")
        tenant = None if slug is None else await self._guard.tenant_named(slug, principal)
        visit = PageContext(request, self._actions, self._guard, self._frame, principal, tenant)
        with acting_as(actor_of(principal, address_of(request))):
            return await page.handle(visit)

    def check_size(self, request: Request) -> None:
        """Raises HttpError (413) for a form that is too large, or does not say how large it is."""
        length = request.headers.get("content-length", "")
        if request.method == "POST" and (not length.isdigit() or int(length) > self._maximum):
            raise HttpError(413, f"The form is longer than the {self._maximum} bytes it may have.")

    async def guarded(self, request: Request) -> None:
        """What holds for every address."""
        self._guard.check_host(request)
        self._guard.check_origin(request)
        self.check_size(request)

    async def told(self, request: Request, error: ModelGateError) -> Response:
        """What went wrong, as a page, or as text for a part of one."""
        if isinstance(error, SignInRequiredError):
            return _to_sign_in(request)
        status = problem_of(error).status
        headers = error.headers if isinstance(error, HttpError) else {}
        if "hx-request" in request.headers or "text/event-stream" in request.headers.get("accept", ""):
            return PlainTextResponse(error.message, status, {**headers, "Cache-Control": "no-store"})
        return self._frame.page(request, "problem.html", {"status": status, "message": error.message}, status)


class _Answered:
    """A handler of any method, its errors told. A class, so that a route takes it as an application."""

    def __init__(self, site: Site, handle: Answer) -> None:
        self._site = site
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            await self._site.guarded(request)
            response = await self._handle(request)
        except ModelGateError as error:
            response = await self._site.told(request, error)
        except Exception:
            logger.exception("A page failed: %s", request.url.path)
            told = HttpError(500, "Something went wrong; the gateway's log says what.")
            response = await self._site.told(request, told)
        await response(scope, receive, send)


def _to_sign_in(request: Request) -> Response:
    """To the sign-in page, and from there back to where the person is."""
    if request.method in ("GET", "HEAD") and "hx-request" not in request.headers:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    else:
        seen = urlsplit(request.headers.get("hx-current-url") or request.headers.get("referer", ""))
        here = seen.path + (f"?{seen.query}" if seen.query else "")
    address = SIGN_IN + (f"?next={quote(here)}" if here.startswith(HOME) else "")
    if "text/event-stream" in request.headers.get("accept", ""):
        return PlainTextResponse("Sign in again.", 401)
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


async def _home(request: Request) -> Response:
    return RedirectResponse(HOME, 303)


async def _nothing(request: Request) -> Response:
    raise NotFoundError("There is no page at this address.")
