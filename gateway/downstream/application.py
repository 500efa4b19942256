"""Everything that clients reach, built once from the parts of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.types import ASGIApp

from gateway.access.caller_authenticator import CallerAuthenticator
from gateway.access.profiles import Profiles
from gateway.audit.call_log import CallLog
from gateway.audit.recorder import AuditRecorder
from gateway.audit.refusal_log import RefusalLog
from gateway.catalog.review.offerings import Offerings
from gateway.catalog.server import Servers
from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.downstream.changes.list_change_notifier import ListChangeNotifier
from gateway.downstream.changes.resource_subscriptions import ResourceSubscriptions
from gateway.downstream.embeddings.embeddings_api import EmbeddingsApi
from gateway.downstream.embeddings.offered_models import OfferedModels
from gateway.downstream.lists.app_resources import AppResources
from gateway.downstream.lists.gateway_tools import GatewayTools
from gateway.downstream.lists.tool_list import ToolList
from gateway.downstream.lists.upstream_lists import UpstreamLists
from gateway.downstream.methods.client_requests import ClientRequests
from gateway.downstream.methods.completion import Completion
from gateway.downstream.methods.kept_results import KeptResults
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.methods.pending_calls import PendingCalls
from gateway.downstream.methods.prompts import Prompts
from gateway.downstream.methods.read_result import ReadResult
from gateway.downstream.methods.resources import Resources
from gateway.downstream.methods.search_answer import answer_format
from gateway.downstream.methods.task_methods import TaskMethods
from gateway.downstream.methods.tasks.task_ids import TaskIds
from gateway.downstream.methods.tasks.task_wait import TaskWait
from gateway.downstream.methods.tool_relay import ToolRelay
from gateway.downstream.methods.tool_search import ToolSearch
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.pagination import PAGE_SIZE
from gateway.downstream.protocol.authentication import Authentication
from gateway.downstream.protocol.client_sessions import ClientSessions
from gateway.downstream.protocol.credential_revalidator import CredentialRevalidator
from gateway.downstream.protocol.http_sse import HttpSse
from gateway.downstream.protocol.mcp_endpoint import McpEndpoint
from gateway.downstream.protocol.mcp_server import McpServer
from gateway.downstream.protocol.modern_requests import ModernRequests
from gateway.downstream.protocol.one_shot_requests import OneShotRequests
from gateway.downstream.protocol.request_metrics import RequestMetrics
from gateway.downstream.protocol.server_registry import ServerRegistry
from gateway.downstream.protocol.unasked_messages import UnaskedMessages
from gateway.downstream.result_limit import ResultLimit
from gateway.embedding.spaces import Spaces
from gateway.metrics import Metrics
from gateway.search.finder import Finder
from gateway.settings import Settings
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.pool import UpstreamPool
from gateway.vault import Vault


@dataclass(frozen=True, slots=True)
class McpLimits:
    """Bounds that no setting changes."""

    tool_page_size: int = PAGE_SIZE
    max_streams_per_caller: int = 1_000


class McpApplication:
    """The MCP endpoint with all that works behind it: `endpoint` is the ASGI application, `registry` lists it.

    `embeddings` lets other programs use the embedder.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        notices: Notices,
        authenticator: CallerAuthenticator,
        servers: Servers,
        pool: UpstreamPool,
        notifications: UpstreamNotifications,
        spaces: Spaces,
        finder: Finder,
        recorder: AuditRecorder,
        metrics: Metrics,
        vault: Vault,
        limits: McpLimits,
    ) -> None:
        path_names = settings.mcp.names == "path"
        default_results = settings.search.max_results
        limit = ResultLimit(settings.mcp.max_result_bytes, settings.mcp.max_binary_bytes)
        call_log = CallLog(recorder, metrics)
        self._kept_results = KeptResults(database)
        self._upstream_lists = UpstreamLists(database, notices, servers, pool, Offerings(database, settings.guards))
        app_resources = AppResources(database, notices)
        gateway_tools = GatewayTools(database, spaces, default_results, settings.search.detail)
        tool_list = ToolList(
            database,
            notices,
            gateway_tools,
            app_resources,
            path_names=path_names,
            page_size=limits.tool_page_size,
            has_cut_results=self._kept_results.has_any,
        )
        self._pending_calls = PendingCalls(settings.mcp.question_seconds)
        client_requests = ClientRequests(settings.mcp.question_seconds)
        task_wait = TaskWait(pool, client_requests, settings.upstream.max_call_seconds)
        task_ids = TaskIds(vault)
        forwarder = UpstreamForwarder(pool, client_requests, self._pending_calls, task_wait)
        prompts = Prompts(self._upstream_lists, servers, forwarder, limit, call_log)
        resources = Resources(self._upstream_lists, servers, app_resources, forwarder, limit, call_log)
        tool_relay = ToolRelay(
            database, notices, servers, forwarder, limit, call_log, authenticator.limiter, self._kept_results, task_ids
        )
        method_table = MethodTable(
            ToolSearch(finder, call_log, default_results, answer_format(settings)),
            tool_list,
            tool_relay,
            prompts,
            resources,
            Completion(prompts, resources, servers, forwarder, limit, call_log),
            ReadResult(database, self._kept_results, call_log, authenticator.limiter, settings.mcp.max_result_bytes),
            TaskMethods(database, servers, forwarder, task_ids, limit, call_log),
        )
        sessions = ClientSessions(pool.close_sessions, settings.server.max_sessions_per_caller)
        self._unasked_messages = UnaskedMessages(sessions, database, notices, self._upstream_lists, notifications)
        self._change_notifier = ListChangeNotifier(
            tool_list, self._upstream_lists, notices, notifications, limits.max_streams_per_caller
        )
        self._subscriptions = ResourceSubscriptions(resources, servers, pool, notifications, notices, call_log)
        authentication = Authentication(authenticator, RefusalLog(recorder), has_provider=bool(settings.oauth.issuer))
        server = McpServer(method_table, sessions, self._change_notifier, self._subscriptions)
        self._endpoint = McpEndpoint(
            authentication,
            server,
            OneShotRequests(method_table),
            ModernRequests(method_table, tool_relay, server.server_info_stamp),
            CredentialRevalidator(authentication, notices, server.on_roles_changed),
            sessions,
            HttpSse(server, sessions, settings.server.max_body_bytes),
            settings.server,
        )
        self.registry = ServerRegistry(authentication, Profiles(database, notices), settings.server)
        self.embeddings = EmbeddingsApi(
            authentication, authenticator.limiter, OfferedModels(spaces), settings.server, metrics
        )
        self.endpoint: ASGIApp = RequestMetrics(self._endpoint, metrics)
        metrics.watch("modelgate_sessions", "Handshake sessions that are open", lambda: {"": len(sessions)})

    async def stop(self, seconds: float) -> int:
        """Answer what is under way for so long, and take no new work; returns how many calls were cut off."""
        return await self._endpoint.stop(seconds)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sessions, subscriptions and pending calls last until the block ends."""
        async with (
            self._subscriptions.running(),
            self._change_notifier.running(),
            self._unasked_messages.running(),
            self._endpoint.running(),
        ):
            dropping = asyncio.create_task(self._kept_results.run())
            try:
                yield
            finally:
                dropping.cancel()
                self._pending_calls.close()
                await self._upstream_lists.aclose()
