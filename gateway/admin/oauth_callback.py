"""Where people come back to after signing in at the authorization server of a server."""

from __future__ import annotations

import html
import secrets
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.access.connections.source import SignInSource
from gateway.access.persons import Identity
from gateway.admin.public_url import PublicUrl
from gateway.catalog.oauth_logins import OAuthLogins
from gateway.errors import ModelGateError
from gateway.upstream.pool import UpstreamPool

CALLBACK_PATH = "/oauth/callback"
DONE_PATH = "/connections/done"
"""Where a person comes to who has connected a server."""
METADATA_PATH = "/oauth/client.json"

_COOKIE = "modelgate_login"
_COOKIE_SECONDS = 600


def oauth_routes(
    logins: OAuthLogins,
    sources: Sequence[SignInSource],
    pool: UpstreamPool,
    public_url: PublicUrl,
    find_signed_in: Callable[[Request], Awaitable[Identity | None]],
) -> list[Route]:
    """The callback, and the gateway's client metadata document, which others read only where it is at `https`.

    `find_signed_in` says who has signed in to the gateway in the browser of a request.
    """

    async def callback(request: Request) -> Response:
        query = request.query_params
        state, code, browser = query.get("state", ""), query.get("code", ""), login_browser(request)
        if not code:
            logins.cancel(state, browser)
            return _sentence_page("You are not signed in: the authorization server gave no code. Begin again.", 400)
        try:
            signed_in_as = await find_signed_in(request)
            for source in sources:
                finished = await source.finish(state, code, browser, query.get("iss"), signed_in_as)
                if finished is not None:
                    missing = urlencode({"without": " ".join(finished.missing_scopes)})
                    address = f"{DONE_PATH}?{missing}" if finished.missing_scopes else DONE_PATH
                    return RedirectResponse(public_url.base(request) + address, 303)
            signed_in = await logins.finish(state, code, browser, query.get("iss"))
        except ModelGateError as error:
            return _sentence_page(error.message, 400)
        await pool.close_server(signed_in.server_id)
        return _sentence_page(f"Signed in to {signed_in.name}. You can close this page.", 200)

    async def metadata(request: Request) -> Response:
        base = public_url.base(request)
        return JSONResponse(
            {
                "client_id": base + METADATA_PATH,
                "client_name": "ModelGate",
                "client_uri": base,
                "redirect_uris": [base + CALLBACK_PATH],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                "application_type": "web",
            },
            headers={"Cache-Control": "public, max-age=3600"},
        )

    return [Route(CALLBACK_PATH, callback, methods=["GET"]), Route(METADATA_PATH, metadata, methods=["GET"])]


def login_browser(request: Request) -> str:
    """What tells this browser from others at the callback; empty where it has begun no sign-in."""
    return request.cookies.get(_COOKIE, "")


def new_login_browser(request: Request) -> str:
    """What is to tell this browser from others: as before, for several sign-ins may be under way in it."""
    return login_browser(request) or secrets.token_urlsafe(32)


def bind_login(request: Request, response: Response, public_url: PublicUrl, browser: str) -> None:
    """Have the browser show at the callback that a sign-in was begun in it."""
    response.set_cookie(
        _COOKIE,
        browser,
        _COOKIE_SECONDS,
        path=urlsplit(public_url.base(request) + CALLBACK_PATH).path,
        secure=public_url.is_https(request),
        httponly=True,
        # The authorization server, which is another site, sends the browser back.
        samesite="lax",
    )


def client_metadata_url(base: str) -> str:
    """The address of the client metadata document; empty where the gateway, at `base`, has no https."""
    return base + METADATA_PATH if base.startswith("https://") else ""


def _sentence_page(sentence: str, status: int) -> HTMLResponse:
    """A page of one sentence, without anything that runs."""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>ModelGate</title><p>{html.escape(sentence)}</p>'
    )
    headers = {
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(page, status, headers)
