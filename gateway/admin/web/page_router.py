"""The routes of pages: each request is admitted, and answered by the page's function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.admin.paths import HOME_PATH
from gateway.admin.public_url import PublicUrl
from gateway.admin.request_guard import RequestGuard
from gateway.admin.services.services import Services
from gateway.admin.web.error_page import PageEndpoint
from gateway.admin.web.page import Page
from gateway.admin.web.page_context import PageContext
from gateway.admin.web.renderer import PageRenderer
from gateway.errors import HttpError

_TENANT_PATH = f"{HOME_PATH}/t/{{tenant}}"


class PageRouter:
    """Makes routes of pages."""

    def __init__(self, services: Services, guard: RequestGuard, renderer: PageRenderer, public_url: PublicUrl) -> None:
        self._services = services
        self._guard = guard
        self._renderer = renderer
        self._public_url = public_url

    def routes(self, pages: Iterable[Page]) -> list[Route]:
        """One route for each path, whatever the methods."""
        by_path: dict[str, list[Page]] = {}
        for page in pages:
            by_path.setdefault((_TENANT_PATH if page.in_tenant else HOME_PATH) + page.path, []).append(page)
        return [self._route(path, of_path) for path, of_path in by_path.items()]

    def _route(self, path: str, pages: Sequence[Page]) -> Route:
        by_method = {page.method: page for page in pages}

        async def answer(request: Request) -> Response:
            page = by_method.get("GET" if request.method == "HEAD" else request.method)
            if page is None:
                if "GET" in by_method or request.method != "GET":
                    raise HttpError(405, "That cannot be done at this address.", Allow=", ".join(by_method))
                # Where a form was sent to is no page to look at: back to where there is one, as after signing in.
                return RedirectResponse(request.scope["path"].rpartition("/")[0] or HOME_PATH, 303)
            return await self._answer(page, request)

        return Route(path, PageEndpoint(self._renderer, answer))

    async def _answer(self, page: Page, request: Request) -> Response:
        async with self._guard.admit(request, page.requirement, request.path_params.get("tenant")) as admission:
            return await page.handle(PageContext(request, self._services, admission, self._renderer, self._public_url))
