"""Everything that clients reach, built once from the parts of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.types import ASGIApp

from gateway.access.caller_authenticator import CallerAuthenticator
from gateway.access.connections.caller_requests import CallerRequests
from gateway.access.connections.needs import ConnectionNeeds
from gateway.access.profiles import Profiles
from gateway.audit.call_log import CallLog
from gateway.audit.recorder import AuditRecorder
from gateway.audit.refusal_log import RefusalLog
from gateway.catalog.overrides.profile_overrides import ProfileOverrides
from gateway.catalog.review.offerings import Offerings
from gateway.catalog.servers.server import Servers
from gateway.cluster.cluster import Cluster
from gateway.database.notices import Notices
from gateway.database.pool import Database
from gateway.downstream.admission import AdmissionControl
from gateway.downstream.approvals.approvals_api import ApprovalsApi
from gateway.downstream.changes.list_change_notifier import ListChangeNotifier
from gateway.downstream.changes.list_leases import ListLeases
from gateway.downstream.changes.resource_subscriptions import ResourceSubscriptions
from gateway.downstream.embeddings.embeddings_api import EmbeddingsApi
from gateway.downstream.embeddings.offered_models import OfferedModels
from gateway.downstream.lists.app_resources import AppResources
from gateway.downstream.lists.gateway_tools import GatewayTools
from gateway.downstream.lists.tool_list import ToolList
from gateway.downstream.lists.upstream_lists import UpstreamLists
from gateway.downstream.methods.client_requests import ClientRequests
from gateway.downstream.methods.completion import Completion
from gateway.downstream.methods.connections.connection_questions import ConnectionQuestions
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.methods.pending_calls import PendingCalls
from gateway.downstream.methods.prompts import Prompts
from gateway.downstream.methods.read_result import ReadResult
from gateway.downstream.methods.resources import Resources
from gateway.downstream.methods.result_store import ResultStore
from gateway.downstream.methods.task_methods import TaskMethods
from gateway.downstream.methods.tasks.approval_tasks import ApprovalTasks
from gateway.downstream.methods.tasks.caller_tasks import CallerTasks
from gateway.downstream.methods.tasks.task_ids import TaskIds
from gateway.downstream.methods.tasks.task_wait import TaskWait
from gateway.downstream.methods.tasks.task_watch import TaskWatch
from gateway.downstream.methods.tools.approved_calls import ApprovedCalls
from gateway.downstream.methods.tools.search_answer import answer_format
from gateway.downstream.methods.tools.tool_relay import ToolRelay
from gateway.downstream.methods.tools.tool_search import ToolSearch
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.methods.use_guards import UseGuards
from gateway.downstream.pagination import PAGE_SIZE
from gateway.downstream.protocol.authentication import Authentication
from gateway.downstream.protocol.credential_revalidator import CredentialRevalidator
from gateway.downstream.protocol.holders import Holders
from gateway.downstream.protocol.in_flight_requests import InFlightRequests
from gateway.downstream.protocol.mcp_endpoint import McpEndpoint
from gateway.downstream.protocol.mcp_server import McpServer
from gateway.downstream.protocol.modern_requests import ModernRequests
from gateway.downstream.protocol.one_shot_requests import OneShotRequests
from gateway.downstream.protocol.request_metrics import RequestMetrics
from gateway.downstream.protocol.server_registry import ServerRegistry
from gateway.downstream.protocol.sessions.client_sessions import ClientSessions
from gateway.downstream.protocol.sessions.remote.shared_sessions import share_sessions
from gateway.downstream.protocol.sessions.session_manager import SessionManager
from gateway.downstream.protocol.sessions.session_requests import SessionRequests
from gateway.downstream.protocol.sse.http_sse import HttpSse
from gateway.downstream.protocol.sse.unasked_messages import UnaskedMessages
from gateway.downstream.result_limit import ResultLimit
from gateway.embedding.spaces.spaces import Spaces
from gateway.guards.approval.approval_policy import ApprovalPolicy
from gateway.guards.approval.approval_watch import ApprovalWatch
from gateway.guards.approval.call_approvals import CallApprovals
from gateway.guards.guards import Guards
from gateway.search.finder import Finder
from gateway.search.learning.usage.use_learning import UseLearning
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing
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

    `embeddings` lets other programs use the embedder, `approvals` decide about calls that wait.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        notices: Notices,
        authenticator: CallerAuthenticator,
        servers: Servers,
        pool: UpstreamPool,
        caller_requests: CallerRequests,
        connection_questions: ConnectionQuestions,
        connection_needs: ConnectionNeeds,
        notifications: UpstreamNotifications,
        spaces: Spaces,
        finder: Finder,
        guards: Guards,
        learning: UseLearning | None,
        recorder: AuditRecorder,
        metrics: Metrics,
        tracing: Tracing,
        vault: Vault,
        approvals: CallApprovals,
        approval_watch: ApprovalWatch,
        cluster: Cluster | None,
        limits: McpLimits,
    ) -> None:
        path_names = settings.mcp.names == "path"
        default_results = settings.search.max_results
        limit = ResultLimit(settings.mcp.max_result_bytes, settings.mcp.max_binary_bytes)
        call_log = CallLog(recorder, metrics)
        self._result_store = ResultStore(database, None if cluster is None else cluster.hop)
        self._connection_questions = connection_questions
        self._upstream_lists = UpstreamLists(
            database, notices, servers, pool, caller_requests, Offerings(database, settings.guards)
        )
        app_resources = AppResources(database, notices)
        gateway_tools = GatewayTools(database, spaces, default_results, settings.search.detail)
        tool_list = ToolList(
            database,
            notices,
            gateway_tools,
            app_resources,
            ProfileOverrides(database, notices),
            path_names=path_names,
            page_size=limits.tool_page_size,
            has_cut_results=self._result_store.has_any,
        )
        holders = Holders(None if cluster is None else cluster.forwarder)
        self._pending_calls = PendingCalls(settings.mcp.question_seconds, holders.hold)
        client_requests = ClientRequests(settings.mcp.question_seconds)
        task_wait = TaskWait(caller_requests, client_requests, settings.upstream.max_call_seconds)
        task_ids = TaskIds(vault)
        use_guards = UseGuards(guards)
        caller_tasks = CallerTasks(database, servers, task_ids, limit, use_guards)
        forwarder = UpstreamForwarder(
            caller_requests, client_requests, self._pending_calls, task_wait, connection_questions
        )
        self._approval_watch = approval_watch
        approved_calls = ApprovedCalls(
            approvals,
            approval_watch,
            settings.approval,
            metrics,
            settings.server.max_requests // 4,
            settings.admin.public_url,
        )
        prompts = Prompts(self._upstream_lists, servers, forwarder, limit, call_log, use_guards)
        resources = Resources(self._upstream_lists, servers, app_resources, forwarder, limit, call_log, use_guards)
        tool_relay = ToolRelay(
            database,
            notices,
            servers,
            forwarder,
            limit,
            call_log,
            authenticator.limiter,
            self._result_store,
            task_ids,
            use_guards,
            ApprovalPolicy(database),
            approved_calls,
            learning,
        )
        self._approval_tasks = ApprovalTasks(approvals, servers, approval_watch, tool_relay, settings.admin.public_url)
        method_table = MethodTable(
            ToolSearch(finder, call_log, connection_needs, default_results, answer_format(settings), learning),
            tool_list,
            tool_relay,
            prompts,
            resources,
            Completion(prompts, resources, servers, forwarder, limit, call_log),
            ReadResult(
                database, servers, self._result_store, call_log, authenticator.limiter, settings.mcp.max_result_bytes
            ),
            TaskMethods(caller_tasks, self._approval_tasks, forwarder, call_log),
            tracing,
        )
        sessions = ClientSessions(pool.close_sessions, settings.server.max_sessions_per_caller)
        self._unasked_messages = UnaskedMessages(sessions, database, notices, self._upstream_lists, notifications)
        self._change_notifier = ListChangeNotifier(
            tool_list,
            self._upstream_lists,
            notices,
            notifications,
            ListLeases(None if cluster is None else cluster.hop),
            limits.max_streams_per_caller,
        )
        self._subscriptions = ResourceSubscriptions(resources, servers, pool, notifications, notices, call_log)
        authentication = Authentication(authenticator, RefusalLog(recorder), has_provider=bool(settings.oauth.issuer))
        task_watch = TaskWatch(caller_tasks, self._approval_tasks, caller_requests, call_log)
        server = McpServer(method_table, sessions, self._change_notifier, self._subscriptions, task_watch)
        admission = AdmissionControl(settings.server.max_requests)
        session_manager = SessionManager(server, settings.server, holders.hold)
        in_flight = InFlightRequests()
        shared = None if cluster is None else share_sessions(cluster, sessions, method_table, notices, settings.server)
        self._shared_sessions = shared
        joined = None if shared is None else shared.joined
        self._endpoint = McpEndpoint(
            authentication,
            session_manager,
            SessionRequests(method_table, sessions, session_manager, server.update_caller, joined),
            None if shared is None else shared.requests,
            OneShotRequests(method_table),
            ModernRequests(method_table, tool_relay, server.server_info_stamp),
            CredentialRevalidator(authentication, notices, server.on_roles_changed),
            sessions,
            HttpSse(server, sessions, holders, in_flight, settings.server.max_body_bytes),
            holders,
            admission,
            in_flight,
            settings.server,
        )
        self.registry = ServerRegistry(authentication, Profiles(database, notices), settings.server)
        self.embeddings = EmbeddingsApi(
            authentication, authenticator.limiter, admission, OfferedModels(spaces), settings.server, metrics
        )
        self.approvals = ApprovalsApi(authentication, admission, approvals, servers, settings.approval, settings.server)
        timed = RequestMetrics(self._endpoint, metrics)
        self.endpoint: ASGIApp = timed
        metrics.watch("modelgate_requests_in_flight", "Requests under way, streams included", lambda: {"": timed.open})
        metrics.watch("modelgate_requests_waiting", "Requests that wait for a turn", lambda: {"": admission.waiting})
        metrics.watch_counter(
            "modelgate_requests_refused", "Requests beyond server.max_requests", lambda: {"": admission.refused}
        )
        metrics.watch(
            "modelgate_approvals_waiting", "Calls that wait for a person", lambda: {"": self._approval_watch.waiting}
        )
        metrics.watch("modelgate_sessions", "Handshake sessions that are open", lambda: {"": len(sessions)})
        metrics.watch_counter(
            "modelgate_sessions_opened", "Handshake sessions that were opened", lambda: {"": sessions.opened}
        )

    async def stop(self, seconds: float) -> int:
        """Answer what is under way for so long, and take no new work; returns how many calls were cut off."""
        self._approval_watch.close()
        return await self._endpoint.stop(seconds)

    async def finish_elsewhere(self, seconds: float) -> None:
        """Wait until other processes have answered what they were given since this one stops, at most so long."""
        await self._endpoint.finish_elsewhere(seconds)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sessions, subscriptions and pending calls last until the block ends."""
        async with (
            self._subscriptions.running(),
            self._change_notifier.running(),
            self._unasked_messages.running(),
            self._endpoint.running(),
        ):
            dropping = asyncio.create_task(self._result_store.run())
            asking = asyncio.create_task(self._connection_questions.run())
            try:
                yield
            finally:
                dropping.cancel()
                asking.cancel()
                self._pending_calls.close()
                await self._approval_tasks.aclose()
                await self._upstream_lists.aclose()
                if self._shared_sessions is not None:
                    await self._shared_sessions.aclose()
