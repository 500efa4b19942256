"""The admin side of the gateway: built once, mounted by the application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.routing import Route

from gateway.access.connections.caller_requests import CallerRequests
from gateway.access.connections.connections import Connections
from gateway.access.connections.links import ConnectionLinks
from gateway.access.connections.oauth.provider_sign_ins import ProviderSignIns
from gateway.access.connections.personal_credentials import PersonalCredentials
from gateway.access.keys import ApiKeys
from gateway.access.persons import Persons
from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.authenticator import Authenticator
from gateway.admin.accounts.openid import OpenIdClient
from gateway.admin.accounts.password import PasswordHasher
from gateway.admin.accounts.person_session import PersonSessions
from gateway.admin.accounts.provider_accounts import ProviderAccounts
from gateway.admin.accounts.session import AdminSessions
from gateway.admin.accounts.setup import FirstAdminSetup
from gateway.admin.accounts.token import ApiTokens
from gateway.admin.oauth_callback import oauth_routes
from gateway.admin.openid_routes import OpenIdRoutes
from gateway.admin.person_guard import PersonGuard
from gateway.admin.public_url import PublicUrl
from gateway.admin.request_guard import RequestGuard
from gateway.admin.rest.api import api_routes
from gateway.admin.rest.router import ApiRouter
from gateway.admin.services.access.admins import AdminService
from gateway.admin.services.access.keys import KeyService
from gateway.admin.services.access.profiles import ProfileService
from gateway.admin.services.access.roles import RoleService
from gateway.admin.services.access.tenants import TenantService
from gateway.admin.services.approvals import ApprovalService
from gateway.admin.services.audit import AuditService
from gateway.admin.services.calls import CallService
from gateway.admin.services.configuration import ConfigurationService
from gateway.admin.services.connections import ConnectionService
from gateway.admin.services.embedding.embedding import EmbeddingService
from gateway.admin.services.embedding.models import ModelService
from gateway.admin.services.embedding.space_comparison import SpaceComparisonService
from gateway.admin.services.gateway_log import GatewayLogService
from gateway.admin.services.guards import GuardService
from gateway.admin.services.learning import LearningService
from gateway.admin.services.nearest_tools import NearestTools
from gateway.admin.services.overview import OverviewService
from gateway.admin.services.playground import ClientAnswer, PlaygroundService
from gateway.admin.services.search_index import SearchIndexService
from gateway.admin.services.servers.health import ServerHealthService
from gateway.admin.services.servers.offerings import OfferingService
from gateway.admin.services.servers.registry import RegistryService
from gateway.admin.services.servers.review import ReviewService
from gateway.admin.services.servers.servers import ServerService
from gateway.admin.services.servers.syncs import SyncService
from gateway.admin.services.servers.trials import TrialService
from gateway.admin.services.servers.versions import VersionService
from gateway.admin.services.services import Services
from gateway.admin.services.tools.examples import ExampleService
from gateway.admin.services.tools.overrides import OverrideService
from gateway.admin.services.tools.similarity import SimilarityService
from gateway.admin.services.tools.tool_map import ToolMapService
from gateway.admin.services.tools.tool_trials import ToolTrialService
from gateway.admin.services.tools.tools import ToolService
from gateway.admin.services.usage import UsageService
from gateway.admin.session_cookie import PERSON_COOKIE, SessionCookie
from gateway.admin.web.assets import Assets
from gateway.admin.web.connection_pages import ConnectionPages
from gateway.admin.web.page_router import PageRouter
from gateway.admin.web.renderer import PageRenderer
from gateway.admin.web.sign_in_pages import SignInPages
from gateway.admin.web.site import site_routes
from gateway.audit.recorder import AuditRecorder
from gateway.catalog.examples.tool_examples import ToolExamples
from gateway.catalog.oauth_logins import OAuthLogins
from gateway.catalog.overrides.tool_overrides import ToolOverrides
from gateway.catalog.review.offerings import Offerings
from gateway.catalog.servers.server import Servers
from gateway.catalog.sync.server_sync import ServerSync
from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import DatabaseError
from gateway.guards.approval.approval_watch import ApprovalWatch
from gateway.guards.approval.call_approvals import CallApprovals
from gateway.guards.configured_guards import ConfiguredGuards
from gateway.guards.dry_run import DryRun
from gateway.guards.guards import Guards
from gateway.search.finder import Finder
from gateway.search.index.opensearch.index_overview import IndexOverview
from gateway.search.index.tool_index import ToolIndex
from gateway.search.learning.example_weight import example_rules
from gateway.search.learning.forgetting import Forgetting
from gateway.search.learning.learner import Learner
from gateway.search.learning.observation import Observation
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
        persons: Persons,
        connections: Connections,
        personal_credentials: PersonalCredentials,
        provider_sign_ins: ProviderSignIns,
        connection_links: ConnectionLinks,
        caller_requests: CallerRequests,
        pool: UpstreamPool,
        sync: ServerSync,
        spaces: Spaces,
        index: ToolIndex,
        overview: IndexOverview | None,
        finder: Finder,
        guards: Guards,
        examples: ToolExamples,
        learner: Learner,
        recorder: AuditRecorder,
        approvals: CallApprovals,
        approval_watch: ApprovalWatch,
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

        self._gateway_log = GatewayLogService(settings.audit)
        self._syncs = SyncService(servers, sync)
        self._models = ModelService(settings.embedder, recorder)
        server_service = ServerService(database, servers, pool, logins, settings.admin, settings.upstream)
        connection_service = ConnectionService(
            database, servers, persons, connections, personal_credentials, keys, pool
        )
        rules = example_rules(settings)
        services = Services(
            admins=AdminService(accounts, tokens),
            approvals=ApprovalService(database, servers, approvals, approval_watch),
            audit=AuditService(database),
            authenticator=authenticator,
            calls=CallService(database),
            configuration=ConfigurationService(
                database,
                servers,
                pool,
                ToolOverrides(database, spaces),
                ConfiguredGuards(guards.rules),
                settings.admin,
            ),
            connections=connection_service,
            embedding=EmbeddingService(database, spaces, index, settings.search),
            examples=ExampleService(database, examples, learner),
            gateway_log=self._gateway_log,
            guards=GuardService(guards.rules, DryRun(guards)),
            keys=KeyService(keys),
            learning=LearningService(
                database,
                spaces,
                rules,
                Forgetting(database, examples),
                learner,
                Observation(database, spaces, index, rules),
            ),
            models=self._models,
            overview=OverviewService(database, settings),
            nearest_tools=NearestTools(database, Finder(database, spaces, index, settings.search)),
            playground=PlaygroundService(database, finder, settings.search, client_answer),
            profiles=ProfileService(database),
            overrides=OverrideService(database, spaces),
            offerings=OfferingService(Offerings(database, settings.guards)),
            registry=RegistryService(server_service, settings.registry),
            review=ReviewService(database, servers),
            roles=RoleService(database),
            search_index=SearchIndexService(settings.search.index, overview),
            server_health=ServerHealthService(database, servers),
            servers=server_service,
            similarity=SimilarityService(database),
            space_comparison=SpaceComparisonService(database, spaces, finder),
            syncs=self._syncs,
            tenants=TenantService(database),
            tool_map=ToolMapService(database, spaces),
            tool_trials=ToolTrialService(database, servers, caller_requests, recorder),
            tools=ToolService(database),
            trials=TrialService(server_service, settings),
            usage=UsageService(database, settings.search),
            versions=VersionService(database, servers, sync),
        )

        public_url = PublicUrl(settings.admin.public_url)
        cookie = SessionCookie(public_url, settings.admin)
        guard = RequestGuard(database, authenticator, cookie, public_url, recorder, settings.server)
        person_cookie = SessionCookie(public_url, settings.admin, PERSON_COOKIE)
        self._person_sessions = PersonSessions(
            database,
            persons,
            settings.oauth.tenant,
            settings.admin.session_hours * 3600,
            settings.admin.session_idle_minutes * 60,
        )
        person_guard = PersonGuard(database, guard, persons, self._person_sessions, person_cookie)
        assets = Assets()
        renderer = PageRenderer(assets)
        has_openid = bool(settings.admin.openid_issuer)
        sign_in_pages = SignInPages(authenticator, setup, guard, cookie, person_cookie, renderer, openid=has_openid)
        self._routes = [
            *oauth_routes(logins, personal_credentials.sign_in_sources, pool, public_url, person_guard.find_signed_in),
            *ConnectionPages(
                connection_service,
                person_guard,
                persons,
                keys,
                connection_links,
                renderer,
                public_url,
                person_cookie,
            ).routes(),
            *api_routes(ApiRouter(services, guard, cookie, public_url, settings.server.max_body_bytes)),
            *site_routes(PageRouter(services, guard, renderer, public_url), sign_in_pages, assets, renderer),
        ]
        if has_openid:
            openid = OpenIdClient(database, ProviderAccounts(database, settings.admin), settings.admin)
            self._routes += OpenIdRoutes(
                openid,
                authenticator,
                guard,
                cookie,
                public_url,
                self._person_sessions,
                person_cookie,
                provider_sign_ins,
            ).routes()

    def routes(self) -> list[Route]:
        """The REST API and its description, the pages, and where people come back to after signing in elsewhere."""
        return self._routes

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Background syncs and pulls live as long as this block, and ended sessions are removed meanwhile."""
        sweeping = asyncio.create_task(self._delete_expired_sessions())
        try:
            with self._gateway_log.recording():
                yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await self._syncs.aclose()
            await self._models.aclose()

    async def _delete_expired_sessions(self) -> None:
        while True:
            try:
                await self._sessions.delete_expired()
                await self._person_sessions.delete_expired()
            except DatabaseError as error:
                logger.info("Ended sessions stay in the database for the moment: %s", error)
            await asyncio.sleep(_SWEEP_SECONDS)
