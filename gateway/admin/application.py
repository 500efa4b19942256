"""The admin side of the gateway: built once, mounted by the application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.routing import Route

from gateway.access.keys import ApiKeys
from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.authenticator import Authenticator
from gateway.admin.accounts.openid import OpenIdClient
from gateway.admin.accounts.password import PasswordHasher
from gateway.admin.accounts.provider_accounts import ProviderAccounts
from gateway.admin.accounts.session import AdminSessions
from gateway.admin.accounts.setup import FirstAdminSetup
from gateway.admin.accounts.token import ApiTokens
from gateway.admin.oauth_callback import oauth_routes
from gateway.admin.openid_routes import OpenIdRoutes
from gateway.admin.public_url import PublicUrl
from gateway.admin.request_guard import RequestGuard
from gateway.admin.rest.api import api_routes
from gateway.admin.rest.router import ApiRouter
from gateway.admin.services.access.admins import AdminService
from gateway.admin.services.access.keys import KeyService
from gateway.admin.services.access.profiles import ProfileService
from gateway.admin.services.access.roles import RoleService
from gateway.admin.services.access.tenants import TenantService
from gateway.admin.services.audit import AuditService
from gateway.admin.services.embedding import EmbeddingService
from gateway.admin.services.overview import OverviewService
from gateway.admin.services.playground import ClientAnswer, PlaygroundService
from gateway.admin.services.servers.offerings import OfferingService
from gateway.admin.services.servers.review import ReviewService
from gateway.admin.services.servers.servers import ServerService
from gateway.admin.services.servers.syncs import SyncService
from gateway.admin.services.servers.trials import TrialService
from gateway.admin.services.servers.versions import VersionService
from gateway.admin.services.services import Services
from gateway.admin.services.tool_map import ToolMapService
from gateway.admin.services.tools import ToolService
from gateway.admin.services.usage import UsageService
from gateway.admin.session_cookie import SessionCookie
from gateway.admin.web.assets import Assets
from gateway.admin.web.page_router import PageRouter
from gateway.admin.web.renderer import PageRenderer
from gateway.admin.web.sign_in_pages import SignInPages
from gateway.admin.web.site import site_routes
from gateway.audit.recorder import AuditRecorder
from gateway.catalog.oauth_logins import OAuthLogins
from gateway.catalog.review.offerings import Offerings
from gateway.catalog.server import Servers
from gateway.catalog.sync.server_sync import ServerSync
from gateway.database.pool import Database
from gateway.embedding.spaces import Spaces
from gateway.errors import DatabaseError
from gateway.search.finder import Finder
from gateway.search.index.tool_index import ToolIndex
from gateway.settings import Settings
from gateway.upstream.pool import UpstreamPool

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 600.0


class AdminApplication:
    """The REST API and the pages, the guard before them, and the services behind them."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        keys: ApiKeys,
        servers: Servers,
        logins: OAuthLogins,
        pool: UpstreamPool,
        sync: ServerSync,
        spaces: Spaces,
        index: ToolIndex,
        finder: Finder,
        recorder: AuditRecorder,
        client_answer: ClientAnswer,
    ) -> None:
        passwords = PasswordHasher()
        accounts = Accounts(database, passwords)
        tokens = ApiTokens(database)
        self._sessions = AdminSessions(
            database, settings.admin.session_hours * 3600, settings.admin.session_idle_minutes * 60
        )
        setup = FirstAdminSetup(database, accounts, passwords)
        authenticator = Authenticator(database, passwords, accounts, self._sessions, tokens, setup, recorder)

        self._syncs = SyncService(servers, sync)
        server_service = ServerService(database, servers, pool, logins, settings.admin)
        services = Services(
            admins=AdminService(accounts, tokens),
            audit=AuditService(database),
            authenticator=authenticator,
            embedding=EmbeddingService(database, spaces, index, settings.search),
            keys=KeyService(keys),
            overview=OverviewService(database, settings),
            playground=PlaygroundService(database, finder, settings.search, client_answer),
            profiles=ProfileService(database),
            offerings=OfferingService(Offerings(database, settings.guards)),
            review=ReviewService(database, servers),
            roles=RoleService(database),
            servers=server_service,
            syncs=self._syncs,
            tenants=TenantService(database),
            tool_map=ToolMapService(database, spaces),
            tools=ToolService(database, spaces, servers, pool, recorder),
            trials=TrialService(server_service, settings),
            usage=UsageService(database),
            versions=VersionService(database, servers, sync),
        )

        public_url = PublicUrl(settings.admin.public_url)
        cookie = SessionCookie(public_url, settings.admin)
        guard = RequestGuard(database, authenticator, cookie, public_url, recorder, settings.server)
        assets = Assets()
        renderer = PageRenderer(assets)
        has_openid = bool(settings.admin.openid_issuer)
        sign_in_pages = SignInPages(authenticator, setup, guard, cookie, renderer, openid=has_openid)
        self._routes = [
            *oauth_routes(logins, pool, public_url),
            *api_routes(ApiRouter(services, guard, cookie, public_url, settings.server.max_body_bytes)),
            *site_routes(PageRouter(services, guard, renderer, public_url), sign_in_pages, assets, renderer),
        ]
        if has_openid:
            openid = OpenIdClient(database, ProviderAccounts(database, settings.admin), settings.admin)
            self._routes += OpenIdRoutes(openid, authenticator, guard, cookie, public_url).routes()

    def routes(self) -> list[Route]:
        """The REST API and its description, the pages, and where people come back to after signing in elsewhere."""
        return self._routes

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Background syncs live as long as this block, and ended sessions are removed meanwhile."""
        sweeping = asyncio.create_task(self._delete_expired_sessions())
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await self._syncs.aclose()

    async def _delete_expired_sessions(self) -> None:
        while True:
            try:
                await self._sessions.delete_expired()
            except DatabaseError as error:
                logger.info("Ended sessions stay in the database for the moment: %s", error)
            await asyncio.sleep(_SWEEP_SECONDS)
