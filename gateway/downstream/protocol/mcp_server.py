"""The SDK's server, which speaks both protocol eras, in front of the gateway's methods."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import mcp_types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from gateway import __version__
from gateway.access.caller import Caller
from gateway.downstream.changes.list_change_notifier import ListChangeNotifier
from gateway.downstream.changes.listen_stream import ListenStream, TaskChanged
from gateway.downstream.changes.resource_subscriptions import ResourceSubscriptions, check_subscription_count
from gateway.downstream.changes.subscription_registry import Subscriber
from gateway.downstream.client_request import LOG_LEVELS, ClientRequest
from gateway.downstream.lists.gateway_tools import INSTRUCTIONS
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.methods.tasks.task_capability import TASKS_EXTENSION, require_tasks
from gateway.downstream.methods.tasks.task_watch import TaskWatch
from gateway.downstream.protocol.sessions.client_sessions import ClientSessions, LiveSession
from gateway.downstream.protocol.sessions.handshake_request import Context, from_handshake
from gateway.downstream.protocol.sessions.running_request import RUNNING, RunningRequest
from gateway.downstream.serialized_result import SerializedResult
from gateway.errors import ModelGateError


class McpServer(Server[dict[str, Any]]):
    """Answers the gateway's methods in sessions before the SDK would validate and reshape what it passes on.

    Of the modern era it serves discovery and subscriptions.
    """

    def __init__(
        self,
        method_table: MethodTable,
        sessions: ClientSessions,
        change_notifier: ListChangeNotifier,
        subscriptions: ResourceSubscriptions,
        task_watch: TaskWatch,
    ) -> None:
        super().__init__(
            "modelgate",
            title="ModelGate",
            version=__version__,
            instructions=INSTRUCTIONS,
        )
        self._method_table = method_table
        self._sessions = sessions
        self._change_notifier = change_notifier
        self._subscriptions = subscriptions
        self._task_watch = task_watch
        self.add_request_handler("subscriptions/listen", mcp_types.SubscriptionsListenRequestParams, self._listen)
        # In place of the SDK's tracing, which does nothing here and costs a seventh of the throughput.
        self.middleware[:] = [self._answer]

    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> mcp_types.ServerCapabilities:
        """What the gateway offers; the SDK would derive it from handlers of its own kind, and there are none."""
        return mcp_types.ServerCapabilities(
            tools=mcp_types.ToolsCapability(list_changed=True),
            prompts=mcp_types.PromptsCapability(list_changed=True),
            resources=mcp_types.ResourcesCapability(list_changed=True, subscribe=True),
            completions=mcp_types.CompletionsCapability(),
            logging=None if protocol_version in MODERN_PROTOCOL_VERSIONS else mcp_types.LoggingCapability(),
            extensions={TASKS_EXTENSION: {}} if protocol_version in MODERN_PROTOCOL_VERSIONS else None,
        )

    async def _answer(self, ctx: ServerRequestContext[dict[str, Any], Any], call_next: CallNext) -> HandlerResult:
        http_request: Request | None = ctx.request
        if http_request is None or ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return await call_next(ctx)
        caller: Caller = http_request.scope["state"]["caller"]
        live = self._sessions.get(http_request.headers.get("mcp-session-id"))
        if ctx.request_id is None:
            result = await call_next(ctx)
            if ctx.method == "notifications/initialized":
                await self._register_session(ctx, http_request, caller)
            return result
        if ctx.method == "initialize" and live is None:
            self._sessions.count(ctx, caller)
        if live is None:
            # Some clients ask before they say that they are ready; what they leave behind ends with their session, too.
            live = await self._register_session(ctx, http_request, caller)
        if live is not None:
            self.update_caller(live, caller)
            session_result = await self._handle_session_method(ctx, live)
            if session_result is not None:
                return session_result
        running: RunningRequest[Context] | None = http_request.scope["state"].get(RUNNING)
        handler = self._method_table.get(ctx.method)
        if handler is None:
            return await call_next(ctx)
        try:
            if running is None:
                answer = await handler(from_handshake(ctx, caller, live))
            else:
                answer = await running.join(ctx)
        except ModelGateError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        return answer.value if isinstance(answer, SerializedResult) else answer

    async def _register_session(
        self, ctx: ServerRequestContext[Any, Any], http_request: Request, caller: Caller
    ) -> LiveSession | None:
        session_id = http_request.headers.get("mcp-session-id")
        if session_id is None or self._sessions.get(session_id) is not None:
            return self._sessions.get(session_id)
        live = self._sessions.add(ctx, session_id, caller)
        listener = live.listener()
        live.on_closed.append(lambda: self._subscriptions.remove_all(session_id))
        live.on_closed.append(lambda: self._change_notifier.remove(listener))
        await self._change_notifier.add(listener)
        return live

    def on_roles_changed(self, scope: Scope) -> None:
        """The caller of an open request has other roles than before."""
        caller: Caller = scope["state"]["caller"]
        live = self._sessions.get(Headers(scope=scope).get("mcp-session-id"))
        if live is not None and live.caller.identity == caller.identity:
            live.caller = caller
            self._sessions.notify_changed(live)
        self._recheck(caller)

    def update_caller(self, live: LiveSession, caller: Caller) -> None:
        """It is `caller` who makes a request in the session."""
        before, live.caller = live.caller, caller
        if before.role_ids != caller.role_ids:
            self._sessions.notify_changed(live)
            self._recheck(caller)

    def _recheck(self, caller: Caller) -> None:
        self._change_notifier.recheck(caller.tenant_id)
        self._subscriptions.recheck()

    async def _handle_session_method(
        self, ctx: ServerRequestContext[Any, Any], live: LiveSession
    ) -> dict[str, Any] | None:
        """The result of a method that only sessions have, None for all others."""
        params = ctx.params or {}
        if ctx.method == "logging/setLevel":
            if params.get("level") not in LOG_LEVELS:
                raise MCPError(code=INVALID_PARAMS, message=f"params.level has to be one of {', '.join(LOG_LEVELS)}.")
            live.log_level = params["level"]
            self._sessions.notify_changed(live)
            return {}
        try:
            if ctx.method == "resources/subscribe":
                subscriber = Subscriber(
                    live.id,
                    lambda: live.caller,
                    from_handshake(ctx, live.caller, live).upstream_session_key,
                    lambda _, uri: live.notify(lambda session: session.send_resource_updated(uri)),
                )
                await self._subscriptions.add(subscriber, params.get("uri"))
                if self._sessions.get(live.id) is not live:
                    self._subscriptions.remove_all(live.id)
                return {}
            if ctx.method == "resources/unsubscribe":
                self._subscriptions.remove(live.id, params.get("uri"))
                return {}
        except ModelGateError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        return None

    async def _listen(
        self, ctx: ServerRequestContext[Any, Any], params: mcp_types.SubscriptionsListenRequestParams
    ) -> mcp_types.SubscriptionsListenResult:
        assert ctx.request is not None
        scope = ctx.request.scope
        caller: Caller = scope["state"]["caller"]
        self._change_notifier.check_stream_limit(caller)
        uris = tuple(dict.fromkeys(params.notifications.resource_subscriptions or ()))
        check_subscription_count(uris)
        task_ids = await self._find_tasks(ctx, caller, params)
        stream = ListenStream(params.notifications, task_ids)
        listener = stream.listener(lambda: scope["state"]["caller"])
        subscriber = Subscriber(
            f"listen-{uuid.uuid4()}",
            listener.get_caller,
            ClientRequest(caller, ctx.method, ctx.params or {}, era="modern").upstream_session_key,
            # Passed on are the very addresses that were asked for.
            lambda client_uri, _: stream.publish(ResourceUpdated(uri=client_uri)),
        )

        async def on_task(state: dict[str, Any]) -> None:
            await stream.publish(TaskChanged(state))

        key = subscriber.upstream_session_key
        # Subscribed while the stream is there already: an update may come at once.
        meanwhile = (
            asyncio.create_task(self._subscriptions.add_all(subscriber, uris)),
            asyncio.create_task(self._task_watch.watch(listener.get_caller, key, task_ids, on_task)),
        )
        try:
            await self._change_notifier.add(listener)
            return await stream.serve(ctx)
        finally:
            self._change_notifier.remove(listener)
            for each in meanwhile:
                each.cancel()
            self._subscriptions.remove_all(subscriber.id)

    async def _find_tasks(
        self, ctx: ServerRequestContext[Any, Any], caller: Caller, params: mcp_types.SubscriptionsListenRequestParams
    ) -> tuple[str, ...]:
        """Those tasks that are asked for and there are."""
        wanted = (params.notifications.model_extra or {}).get("taskIds")
        if wanted is None:
            return ()
        if not isinstance(wanted, list) or not all(isinstance(task_id, str) for task_id in wanted):
            raise MCPError(code=INVALID_PARAMS, message="params.notifications.taskIds has to be a list of strings.")
        meta = (ctx.params or {}).get("_meta")
        declared = meta.get(mcp_types.CLIENT_CAPABILITIES_META_KEY) if isinstance(meta, dict) else None
        require_tasks(declared if isinstance(declared, dict) else {}, "A subscription to tasks")
        try:
            return await self._task_watch.find(caller, dict.fromkeys(wanted))
        except ModelGateError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
