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

from gateway.admin.actions import Actions
from gateway.admin.actions.admins import AdminActions
from gateway.admin.actions.approvals import ApprovalActions
from gateway.admin.actions.audit import AuditActions
from gateway.admin.actions.embedding import EmbeddingActions
from gateway.admin.actions.keys import KeyActions
from gateway.admin.actions.map import MapActions
from gateway.admin.actions.overview import OverviewActions
from gateway.admin.actions.playground import PlaygroundActions
from gateway.admin.actions.profiles import ProfileActions
from gateway.admin.actions.roles import RoleActions
from gateway.admin.actions.servers import ServerActions
from gateway.admin.actions.syncs import SyncActions
from gateway.admin.actions.tenants import TenantActions
from gateway.admin.actions.tools import ToolActions
from gateway.admin.actions.trials import ServerTrials
from gateway.admin.actions.usage import UsageActions
from gateway.admin.actions.versions import VersionActions
from gateway.admin.api import access, gateway, roles, servers, session, syncs, tools, trace
from gateway.admin.api.openapi import describe
from gateway.admin.api.router import ApiRouter
from gateway.admin.guard import Guard
from gateway.admin.openid import OpenIdRoutes
from gateway.admin.parts import ClientAnswer, Parts
from gateway.admin.people.account import Accounts
from gateway.admin.people.entrance import Entrance
from gateway.admin.people.membership import Memberships
from gateway.admin.people.openid import OpenId
from gateway.admin.people.password import Passwords
from gateway.admin.people.session import Sessions
from gateway.admin.people.setup import Setup
from gateway.admin.people.token import ApiTokens
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
    *trace.OPERATIONS,
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
        self._sessions = Sessions(database, settings.session_hours * 3600, settings.session_idle_minutes * 60)
        self.setup = Setup(database, accounts, passwords)
        entrance = Entrance(database, passwords, accounts, self._sessions, tokens, self.setup, parts.recorder)
        server_actions = ServerActions(parts)
        self.actions = Actions(
            entrance=entrance,
            admins=AdminActions(accounts, tokens),
            embedding=EmbeddingActions(parts),
            keys=KeyActions(parts),
            map=MapActions(parts),
            overview=OverviewActions(parts),
            playground=PlaygroundActions(parts, client_answer),
            profiles=ProfileActions(parts),
            roles=RoleActions(parts),
            servers=server_actions,
            syncs=SyncActions(parts),
            tenants=TenantActions(parts),
            tools=ToolActions(parts),
            usage=UsageActions(parts),
            trials=ServerTrials(parts, server_actions),
            versions=VersionActions(parts),
            approvals=ApprovalActions(parts),
            audit=AuditActions(parts),
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
