"""What every request to the admin side passes: the right host, the right person, a change that was meant."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from gateway.access.allowed_hosts import AllowedHosts
from gateway.access.tenants import DEFAULT_TENANT, Tenant, tenant_by_slug
from gateway.admin.accounts.authenticator import AdminSession, Authenticator
from gateway.admin.accounts.principal import Principal
from gateway.database.actor import Actor
from gateway.database.pool import Database
from gateway.errors import ForbiddenError, HttpError, NotFoundError, SignInRequiredError
from gateway.settings import Settings

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
TENANT_HEADER = "X-Tenant"
TENANT_PARAMETER = "tenant"

_COOKIE = "modelgate_session"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """Lets requests of the REST API and of pages in, or says why not."""

    def __init__(self, database: Database, entrance: Authenticator, settings: Settings) -> None:
        self._database = database
        self._entrance = entrance
        self._hosts = AllowedHosts(settings.server)
        self._public = urlsplit(settings.admin.public_url)
        self._lifetime = int(settings.admin.session_hours * 3600)
        # A browser coming back from a provider at another site would not send a stricter cookie.
        self._same_site = "lax" if settings.admin.openid_issuer else "strict"

    def check_host(self, request: Request) -> None:
        """Raises HttpError (421) for a host that is not this gateway's: a foreign name that leads to this machine."""
        host = request.headers.get("host", "").lower()
        if not (self._hosts.allows(host) or host == self._public.netloc.lower() != ""):
            raise HttpError(
                421, "The Host header names another host; add it to server.allowed_hosts if this gateway answers to it."
            )

    def check_origin(self, request: Request) -> None:
        """Raises ForbiddenError for a change that a page of another site sends."""
        if request.method in _SAFE_METHODS:
            return
        origin = request.headers.get("origin")
        ours = {request.headers.get("host", "").lower(), self._public.netloc.lower()} - {""}
        foreign = origin is not None and urlsplit(origin.lower()).netloc not in ours
        if foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise ForbiddenError("This request comes from a page of another site; open the gateway's own pages.")

    async def principal(self, request: Request) -> Principal:
        """Who makes the request, by bearer token or session cookie. Raises SignInRequiredError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer":
                raise SignInRequiredError("The Authorization header has to be Bearer with an admin's API token.")
            return await self._entrance.by_token(token.strip())
        return await self._entrance.by_session(request.cookies.get(self._cookie(request)))

    async def check_csrf(self, request: Request, principal: Principal) -> None:
        """Raises ForbiddenError for a change made with a session without its CSRF token, in header or form field."""
        if request.method in _SAFE_METHODS or principal.csrf_token is None:
            return
        sent: object = request.headers.get(CSRF_HEADER)
        if sent is None and request.headers.get("content-type", "").startswith(
            ("application/x-www-form-urlencoded", "multipart/form-data")
        ):
            sent = (await request.form()).get(CSRF_FIELD)
        if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), principal.csrf_token.encode()):
            raise ForbiddenError(
                f"The {CSRF_HEADER} header is missing or not that of your session; load the page again."
            )

    async def tenant(self, request: Request, principal: Principal) -> Tenant:
        """The tenant that the request is about: parameter `tenant`, else header X-Tenant, else `default`.

        Who is limited to other tenants and names none gets the first of theirs. Raises NotFoundError, alike for a
        tenant that is not there and one that is not theirs.
        """
        asked = request.query_params.get(TENANT_PARAMETER) or request.headers.get(TENANT_HEADER)
        return await self.tenant_named(asked, principal)

    async def tenant_named(self, slug: str | None, principal: Principal) -> Tenant:
        """As `tenant`, for a slug, or None where none was named."""
        if slug is None:
            limited = not principal.admin.every_tenant and DEFAULT_TENANT not in principal.admin.tenants
            slug = principal.admin.tenants[0] if limited and principal.admin.tenants else DEFAULT_TENANT
        if "\x00" not in slug:
            try:
                tenant = await tenant_by_slug(self._database, slug)
            except NotFoundError:
                pass
            else:
                if principal.may_enter(tenant.id):
                    return tenant
        raise NotFoundError(f"There is no tenant {slug[:63]!r} that you may enter.")

    def base_url(self, request: Request) -> str:
        """The gateway's address as browsers have it, without a slash at the end."""
        return self._public.geturl().rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"

    def give_session(self, request: Request, response: Response, signed_in: AdminSession) -> None:
        """Put the session into the response's cookie."""
        response.set_cookie(
            self._cookie(request),
            signed_in.session,
            max_age=self._lifetime,
            path="/",
            secure=self._https(request),
            httponly=True,
            samesite=self._same_site,  # type: ignore[arg-type]
        )

    def take_session(self, request: Request, response: Response) -> None:
        """Remove the cookie."""
        response.delete_cookie(self._cookie(request), path="/", secure=self._https(request), httponly=True)

    def _https(self, request: Request) -> bool:
        return request.url.scheme == "https" or self._public.scheme == "https"

    def _cookie(self, request: Request) -> str:
        # The prefix makes browsers refuse the cookie from anything but this host over https.
        return f"__Host-{_COOKIE}" if self._https(request) else _COOKIE


def actor_of(principal: Principal, address: str) -> Actor:
    """Whom the audit log names for what this principal does."""
    return Actor("admin", principal.admin.name, principal.admin.id, (principal.role,), address)


def address_of(request: Request) -> str:
    """The network address that a request comes from, as far as the server knows it."""
    return request.client.host if request.client is not None else "unknown"
