"""Everything that clients reach, built once from the parts of the gateway."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from gateway.access.caller_authenticator import CallerAuthenticator
from gateway.audit.call_log import CallLog
from gateway.audit.recorder import AuditRecorder
from gateway.audit.refusal_log import RefusalLog
from gateway.catalog.server import Servers
from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.downstream.changes.list_change_notifier import ListChangeNotifier
from gateway.downstream.changes.subscriptions import Subscriptions
from gateway.downstream.lists.offerings import Offerings
from gateway.downstream.lists.tool_list import ToolList
from gateway.downstream.methods.app_resources import AppResources
from gateway.downstream.methods.client_requests import ClientRequests
from gateway.downstream.methods.completion import Completion
from gateway.downstream.methods.gateway_tools import GatewayTools
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.methods.pending_calls import PendingCalls
from gateway.downstream.methods.prompts import Prompts
from gateway.downstream.methods.resources import Resources
from gateway.downstream.methods.tool_relay import ToolRelay
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.protocol.authentication import Authentication
from gateway.downstream.protocol.client_sessions import ClientSessions
from gateway.downstream.protocol.credential_revalidator import CredentialRevalidator
from gateway.downstream.protocol.mcp_endpoint import McpEndpoint
from gateway.downstream.protocol.mcp_server import McpServer
from gateway.downstream.protocol.modern_era import ModernRequests
from gateway.downstream.protocol.one_shot import OneShotRequests
from gateway.downstream.result_limit import ResultLimit
from gateway.search.finder import Finder
from gateway.settings import Settings
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.pool import UpstreamPool


class McpApplication:
    """The MCP endpoint with all that works behind it; `endpoint` is the ASGI application."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        notices: Notices,
        authenticator: CallerAuthenticator,
        servers: Servers,
        pool: UpstreamPool,
        news: UpstreamNotifications,
        finder: Finder,
        recorder: AuditRecorder,
    ) -> None:
        limits = settings.mcp
        limit = ResultLimit(limits.max_result_bytes)
        self._pending_calls = PendingCalls(limits.question_seconds)
        forwarder = UpstreamForwarder(pool, ClientRequests(limits.question_seconds), self._pending_calls)
        apps = AppResources(database, notices)
        call_log = CallLog(recorder)
        tools = GatewayTools(database, finder, settings, call_log)
        tool_list = ToolList(database, notices, tools, apps, path_names=limits.names == "path")
        self._offerings = Offerings(database, notices, servers, pool)
        prompts = Prompts(self._offerings, servers, forwarder, limit)
        resources = Resources(self._offerings, servers, apps, forwarder, limit)
        relay = ToolRelay(database, notices, servers, forwarder, limit, call_log, authenticator.limiter)
        completion = Completion(prompts, resources, servers, forwarder, limit)
        methods = MethodTable(tools, tool_list, relay, prompts, resources, completion)
        sessions = ClientSessions(pool.release, settings.server.max_sessions_per_caller)
        self._audiences = ListChangeNotifier(tool_list, self._offerings, notices, news)
        self._subscriptions = Subscriptions(resources, servers, pool, news, notices)
        authentication = Authentication(authenticator, RefusalLog(recorder), has_provider=bool(settings.oauth.issuer))
        server = McpServer(methods, sessions, self._audiences, self._subscriptions)
        self.endpoint = McpEndpoint(
            authentication,
            server,
            OneShotRequests(methods),
            ModernRequests(methods, relay, server.server_info_stamp),
            CredentialRevalidator(authentication, notices, server.roles_changed),
            sessions,
            settings.server,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sessions, subscriptions and pending calls last until the block ends."""
        async with self._subscriptions.running(), self._audiences.running(), self.endpoint.running():
            try:
                yield
            finally:
                self._pending_calls.close()
                await self._offerings.aclose()
