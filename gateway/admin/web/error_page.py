"""What went wrong, as a page, or as text for a part of one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.admin.paths import CONNECTIONS_PATH, HOME_PATH, SIGN_IN_PATH
from gateway.admin.problem_details import build_problem
from gateway.admin.web.renderer import PageRenderer
from gateway.edge.root_path import root_path_of
from gateway.errors import HttpError, ModelGateError, SignInRequiredError

logger = logging.getLogger(__name__)


class PageEndpoint:
    """An ASGI endpoint for any method whose errors are answered as pages."""

    def __init__(self, renderer: PageRenderer, handle: Callable[[Request], Awaitable[Response]]) -> None:
        self._renderer = renderer
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._handle(request)
        except ModelGateError as error:
            response = self._error_page(request, error)
        except Exception:
            logger.exception("A page failed: %s", request.scope["path"])
            response = self._error_page(request, HttpError(500, "Something went wrong; the gateway's log says what."))
        await response(scope, receive, send)

    def _error_page(self, request: Request, error: ModelGateError) -> Response:
        if isinstance(error, SignInRequiredError):
            return _redirect_to_sign_in(request)
        status = build_problem(error).status
        headers = error.headers if isinstance(error, HttpError) else {}
        if "hx-request" in request.headers or "text/event-stream" in request.headers.get("accept", ""):
            return PlainTextResponse(error.message, status, {**headers, "Cache-Control": "no-store"})
        return self._renderer.response(request, "problem.html", {"status": status, "message": error.message}, status)


def _redirect_to_sign_in(request: Request) -> Response:
    """To the sign-in page, and from there back to where the person is."""
    if request.method in ("GET", "HEAD") and "hx-request" not in request.headers:
        query = request.scope["query_string"].decode("latin-1")
        return_to = request.scope["path"] + (f"?{query}" if query else "")
    else:
        return_to = _path_of(request.headers.get("hx-current-url") or request.headers.get("referer", ""))
        return_to = return_to.removeprefix(root_path_of(request.scope))
    address = SIGN_IN_PATH + (
        f"?next={quote(return_to)}" if return_to.startswith((HOME_PATH, CONNECTIONS_PATH)) else ""
    )
    if "text/event-stream" in request.headers.get("accept", ""):
        return PlainTextResponse("Sign in again.", 401)
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


def _path_of(address: str) -> str:
    """Path and query of an address that a browser names; empty for what is none."""
    try:
        page = urlsplit(address)
    except ValueError:
        return ""
    return page.path + (f"?{page.query}" if page.query else "")
