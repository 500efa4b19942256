"""What every request to the admin side passes, of the REST API and of pages alike, and in this order.

The right host; for a change, a page of this gateway; a form that is not too large; a session or a token; the session's
CSRF token; the role; the tenant. Who is refused after signing in is in the audit log.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.access.allowed_hosts import AllowedHosts
from gateway.access.tenants import DEFAULT_TENANT, Tenant, tenant_by_slug
from gateway.admin.accounts.authenticator import Authenticator
from gateway.admin.accounts.principal import Principal
from gateway.admin.public_url import PublicUrl
from gateway.admin.session_cookie import SessionCookie
from gateway.audit.events import AuditEvent
from gateway.audit.recorder import AuditRecorder
from gateway.database.actor import Actor, acting_as
from gateway.database.pool import Database
from gateway.errors import ForbiddenError, HttpError, NotFoundError, SignInRequiredError
from gateway.settings import ServerSettings

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
TENANT_HEADER = "X-Tenant"
TENANT_PARAMETER = "tenant"

PUBLIC_BODY_BYTES = 64 * 1024
"""What may be sent by whoever has not signed in."""

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True)
class Requirement:
    """What it takes to be admitted; `action` is what a refusal goes by in the audit log.

    `public`: nobody has to be signed in, and nothing but host, origin and size is looked at. `write`: an admin, not a
    viewer. `gateway_wide`: an admin or viewer of every tenant. `in_tenant`: one who may enter the tenant.
    """

    action: str
    public: bool = False
    write: bool = False
    gateway_wide: bool = False
    in_tenant: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """Who was admitted from which address, into which tenant. `record_denial` tells the audit log of a refusal that
    comes later; one that leaves the guard's block as ForbiddenError is told by itself.
    """

    address: str
    principal_or_none: Principal | None
    tenant_or_none: Tenant | None
    record_denial: Callable[[], None]

    @property
    def principal(self) -> Principal:
        assert self.principal_or_none is not None
        return self.principal_or_none

    @property
    def tenant(self) -> Tenant:
        assert self.tenant_or_none is not None
        return self.tenant_or_none


class RequestGuard:
    """Admits requests of the REST API and of pages, or says why not."""

    def __init__(
        self,
        database: Database,
        authenticator: Authenticator,
        cookie: SessionCookie,
        public_url: PublicUrl,
        recorder: AuditRecorder,
        settings: ServerSettings,
    ) -> None:
        self._database = database
        self._authenticator = authenticator
        self._cookie = cookie
        self._public_url = public_url
        self._recorder = recorder
        self._hosts = AllowedHosts(settings)
        self._max_form_bytes = settings.max_body_bytes

    @contextlib.asynccontextmanager
    async def admit(
        self, request: Request, requirement: Requirement, tenant_slug: str | None = None
    ) -> AsyncIterator[Admission]:
        """To be entered around what a request is for; what is changed inside is written to the audit log as by whoever
        makes the request. Without a slug the tenant is `default`, or the first that they may enter.

        Raises HttpError, SignInRequiredError, ForbiddenError, and NotFoundError, alike for a tenant that is not there
        and one that is not theirs.
        """
        self._check_host(request)
        self._check_origin(request)
        self._check_form_size(request, PUBLIC_BODY_BYTES if requirement.public else self._max_form_bytes)
        address = client_address(request)
        if requirement.public:
            yield Admission(address, None, None, lambda: None)
            return
        principal = await self.authenticate(request)
        actor = Actor("admin", principal.admin.name, principal.admin.id, (principal.role,), address)
        tenant: Tenant | None = None

        def record_denial() -> None:
            tenant_id = tenant.id if tenant is not None else 0
            event = AuditEvent(actor, requirement.action, request.scope["path"], "denied", tenant_id)
            self._recorder.record(event)

        try:
            await self._check_csrf(request, principal)
            if requirement.write:
                principal.require_write()
            if requirement.gateway_wide:
                principal.require_every_tenant()
            if requirement.in_tenant:
                tenant = await self._find_tenant(tenant_slug, principal)
        except (ForbiddenError, NotFoundError):
            record_denial()
            raise
        with acting_as(actor):
            try:
                yield Admission(address, principal, tenant, record_denial)
            except ForbiddenError:
                record_denial()
                raise

    async def authenticate(self, request: Request) -> Principal:
        """Who makes the request, by bearer token or session cookie. Raises SignInRequiredError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer":
                raise SignInRequiredError("The Authorization header has to be Bearer with an admin's API token.")
            return await self._authenticator.authenticate_token(token.strip())
        return await self._authenticator.authenticate_session(self._cookie.read(request))

    async def _find_tenant(self, slug: str | None, principal: Principal) -> Tenant:
        """The tenant of a slug; for None `default`, or the first that the principal may enter. Raises NotFoundError."""
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

    def _check_host(self, request: Request) -> None:
        """Raises HttpError (421) for a host that is not this gateway's: a foreign name that leads to this machine."""
        host = request.headers.get("host", "").lower()
        if not (self._hosts.allows(host) or host == self._public_url.host != ""):
            raise HttpError(
                421, "The Host header names another host; add it to server.allowed_hosts if this gateway answers to it."
            )

    def _check_origin(self, request: Request) -> None:
        """Raises ForbiddenError for a change that a page of another site sends."""
        if request.method in _SAFE_METHODS:
            return
        origin = request.headers.get("origin")
        ours = {request.headers.get("host", "").lower(), self._public_url.host} - {""}
        foreign = origin is not None and _host_of(origin) not in ours
        if foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise ForbiddenError("This request comes from a page of another site; open the gateway's own pages.")

    def _check_form_size(self, request: Request, most: int) -> None:
        """Raises HttpError (413) for a form that is too large, or does not say how large it is."""
        if request.method in _SAFE_METHODS or not _is_form(request):
            return
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > most:
            raise HttpError(413, f"The form is longer than the {most} bytes it may have.")

    async def _check_csrf(self, request: Request, principal: Principal) -> None:
        """Raises ForbiddenError for a change made with a session without its CSRF token, in header or form field."""
        if request.method in _SAFE_METHODS or principal.csrf_token is None:
            return
        given: object = request.headers.get(CSRF_HEADER)
        if given is None and _is_form(request):
            given = (await request.form()).get(CSRF_FIELD)
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), principal.csrf_token.encode()):
            raise ForbiddenError(
                f"The {CSRF_HEADER} header is missing or not that of your session; load the page again."
            )


def client_address(request: Request) -> str:
    """The network address that a request comes from, as far as the server knows it."""
    return request.client.host if request.client is not None else "unknown"


def _host_of(origin: str) -> str:
    """Host and port in lower case; empty where it is no origin."""
    try:
        return urlsplit(origin.lower()).netloc
    except ValueError:
        return ""


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith(_FORM_TYPES)
