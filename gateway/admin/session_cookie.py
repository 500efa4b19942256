"""The cookie in which a browser carries an admin's session."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.public_url import PublicUrl
from gateway.settings import AdminSettings

SESSION_COOKIE = "modelgate_session"
PERSON_COOKIE = "modelgate_person"
"""That of people who run nothing."""


class SessionCookie:
    """Out of reach of scripts, and of other sites' pages."""

    def __init__(self, public_url: PublicUrl, settings: AdminSettings, name: str = SESSION_COOKIE) -> None:
        self._cookie_name = name
        self._public_url = public_url
        self._lifetime_seconds = int(settings.session_hours * 3600)
        # A browser coming back from a provider at another site would not send a stricter cookie.
        self._same_site: Literal["lax", "strict"] = "lax" if settings.openid_issuer else "strict"

    def read(self, request: Request) -> str | None:
        """The session that a request carries; None where it carries none."""
        return request.cookies.get(self._name(request))

    def set(self, request: Request, response: Response, session: str) -> None:
        """Have the browser carry this session from now on."""
        response.set_cookie(
            self._name(request),
            session,
            max_age=self._lifetime_seconds,
            path="/",
            secure=self._public_url.is_https(request),
            httponly=True,
            samesite=self._same_site,
        )

    def delete(self, request: Request, response: Response) -> None:
        """Have the browser forget the session."""
        secure = self._public_url.is_https(request)
        response.delete_cookie(self._name(request), path="/", secure=secure, httponly=True)

    def _name(self, request: Request) -> str:
        # The prefix makes browsers refuse the cookie from anything but this host over https.
        return f"__Host-{self._cookie_name}" if self._public_url.is_https(request) else self._cookie_name
