"""The admin side of the gateway: built once, mounted by the application."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.authenticator import Authenticator
from gateway.admin.accounts.membership import Memberships
from gateway.admin.accounts.openid import OpenId
from gateway.admin.accounts.password import Passwords
from gateway.admin.accounts.session import AdminSessions
from gateway.admin.accounts.setup import Setup
from gateway.admin.accounts.token import ApiTokens
from gateway.admin.components import ClientAnswer, Parts
from gateway.admin.guard import Guard
from gateway.admin.openid import OpenIdRoutes
from gateway.admin.rest import access, audit, gateway, roles, servers, session, syncs, tools
from gateway.admin.rest.openapi import describe
from gateway.admin.rest.router import ApiRouter
from gateway.admin.services import Services
from gateway.admin.services.access.admins import AdminService
from gateway.admin.services.access.keys import KeyService
from gateway.admin.services.access.profiles import ProfileService
from gateway.admin.services.access.roles import RoleService
from gateway.admin.services.access.tenants import TenantService
from gateway.admin.services.audit import AuditService
from gateway.admin.services.embedding import EmbeddingService
from gateway.admin.services.overview import OverviewService
from gateway.admin.services.playground import PlaygroundService
from gateway.admin.services.servers.review import ReviewService
from gateway.admin.services.servers.servers import ServerService
from gateway.admin.services.servers.syncs import SyncService
from gateway.admin.services.servers.trials import TrialService
from gateway.admin.services.servers.versions import VersionService
from gateway.admin.services.tool_map import ToolMapService
from gateway.admin.services.tools import ToolService
from gateway.admin.services.usage import UsageService
from gateway.errors import DatabaseError

logger = logging.getLogger(__name__)

OPERATIONS = (
    *session.OPERATIONS,
    *servers.OPERATIONS,
    *syncs.OPERATIONS,
    *tools.OPERATIONS,
    *roles.OPERATIONS,
    *access.OPERATIONS,
    *gateway.OPERATIONS,
    *audit.OPERATIONS,
)
"""Every operation of the REST API."""

_SWEEP_SECONDS = 600.0


class AdminApplication:
    """The actions, the guard before them, and the routes of the REST API."""

    def __init__(self, parts: Parts, client_answer: ClientAnswer) -> None:
        database, settings = parts.database, parts.settings.admin
        passwords = Passwords()
        accounts = Accounts(database, passwords)
        tokens = ApiTokens(database)
        self._sessions = AdminSessions(database, settings.session_hours * 3600, settings.session_idle_minutes * 60)
        self.setup = Setup(database, accounts, passwords)
        entrance = Authenticator(database, passwords, accounts, self._sessions, tokens, self.setup, parts.recorder)
        server_actions = ServerService(parts)
        self.actions = Services(
            entrance=entrance,
            admins=AdminService(accounts, tokens),
            embedding=EmbeddingService(parts),
            keys=KeyService(parts),
            map=ToolMapService(parts),
            overview=OverviewService(parts),
            playground=PlaygroundService(parts, client_answer),
            profiles=ProfileService(parts),
            roles=RoleService(parts),
            servers=server_actions,
            syncs=SyncService(parts),
            tenants=TenantService(parts),
            tools=ToolService(parts),
            usage=UsageService(parts),
            trials=TrialService(parts, server_actions),
            versions=VersionService(parts),
            approvals=ReviewService(parts),
            audit=AuditService(parts),
        )
        self.guard = Guard(database, entrance, parts.settings)
        self._openid: OpenIdRoutes | None = None
        if settings.openid_issuer:
            openid = OpenId(database, Memberships(database, settings), settings)
            self._openid = OpenIdRoutes(openid, entrance, self.guard)
        self._router = ApiRouter(self.actions, self.guard, parts.recorder, parts.settings.server.max_body_bytes)
        self._description = json.dumps(describe(OPERATIONS), ensure_ascii=False).encode()

    def routes(self) -> list[Route]:
        """The REST API and its description, and the sign-in at a provider where there is one."""
        elsewhere = [] if self._openid is None else self._openid.routes()
        return [Route("/api/openapi.json", self._describe), *self._router.routes(OPERATIONS), *elsewhere]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Background syncs live as long as this block, and what is over is swept up meanwhile."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await self.actions.syncs.aclose()

    async def _sweep(self) -> None:
        while True:
            try:
                await self._sessions.sweep()
            except DatabaseError as error:
                logger.info("Ended sessions stay in the database for the moment: %s", error)
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _describe(self, _: Request) -> Response:
        return Response(self._description, media_type="application/json")
