"""Everything that clients reach, built once from the parts of the gateway."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from gateway.access.audit import Recorder
from gateway.access.gate import Gate
from gateway.access.refusals import Refusals
from gateway.catalog.server import Servers
from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.downstream.apps import AppResources
from gateway.downstream.audience import Audiences
from gateway.downstream.authentication import Authentication
from gateway.downstream.completion import Completion
from gateway.downstream.endpoint import McpEndpoint
from gateway.downstream.gateway_tools import GatewayTools
from gateway.downstream.held import HeldCalls
from gateway.downstream.limit import ResultLimit
from gateway.downstream.mcp_server import McpServer
from gateway.downstream.methods import Methods
from gateway.downstream.modern import ModernEra
from gateway.downstream.offerings import Offerings
from gateway.downstream.oneshot import OneShot
from gateway.downstream.passage import Passage
from gateway.downstream.prompts import Prompts
from gateway.downstream.questions import Questions
from gateway.downstream.relay import Relay
from gateway.downstream.resources import Resources
from gateway.downstream.sessions import Sessions
from gateway.downstream.streams import OpenStreams
from gateway.downstream.subscriptions import Subscriptions
from gateway.downstream.tool_list import ToolList
from gateway.downstream.trace import Trace
from gateway.search.finder import Finder
from gateway.settings import Settings
from gateway.upstream.news import UpstreamNews
from gateway.upstream.pool import UpstreamPool


class McpFront:
    """The MCP endpoint with all that works behind it; `endpoint` is the ASGI application."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        notices: Notices,
        gate: Gate,
        servers: Servers,
        pool: UpstreamPool,
        news: UpstreamNews,
        finder: Finder,
        recorder: Recorder,
    ) -> None:
        limits = settings.mcp
        limit = ResultLimit(limits.max_result_bytes)
        self._held = HeldCalls(limits.question_seconds)
        passage = Passage(pool, Questions(limits.question_seconds), self._held)
        apps = AppResources(database, notices)
        trace = Trace(recorder)
        tools = GatewayTools(database, finder, settings, trace)
        tool_list = ToolList(database, notices, tools, apps, path_names=limits.names == "path")
        self._offerings = Offerings(database, notices, servers, pool)
        prompts = Prompts(self._offerings, servers, passage, limit)
        resources = Resources(self._offerings, servers, apps, passage, limit)
        relay = Relay(database, notices, servers, passage, limit, trace, gate.limiter)
        completion = Completion(prompts, resources, servers, passage, limit)
        methods = Methods(tools, tool_list, relay, prompts, resources, completion)
        sessions = Sessions(pool.release, settings.server.max_sessions_per_caller)
        self._audiences = Audiences(tool_list, self._offerings, notices, news)
        self._subscriptions = Subscriptions(resources, servers, pool, news, notices)
        authentication = Authentication(gate, Refusals(recorder), has_provider=bool(settings.oauth.issuer))
        server = McpServer(methods, sessions, self._audiences, self._subscriptions)
        self.endpoint = McpEndpoint(
            authentication,
            server,
            OneShot(methods),
            ModernEra(methods, relay, server.server_info_stamp),
            OpenStreams(authentication, notices, server.roles_changed),
            sessions,
            settings.server,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sessions, subscriptions and held calls last until the block ends."""
        async with self._subscriptions.running(), self._audiences.running(), self.endpoint.running():
            try:
                yield
            finally:
                self._held.close()
                await self._offerings.aclose()
