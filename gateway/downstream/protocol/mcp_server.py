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
from gateway.downstream.changes.change_listener import ListenStream, session_listener
from gateway.downstream.changes.list_change_notifier import ListChangeNotifier
from gateway.downstream.changes.subscription_registry import Subscriber
from gateway.downstream.changes.subscriptions import Subscriptions, check_number
from gateway.downstream.client_request import ClientRequest
from gateway.downstream.methods.gateway_tools import INSTRUCTIONS
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.protocol.client_sessions import ClientSessions, LiveSession
from gateway.downstream.protocol.handshake_request import to_client_request
from gateway.downstream.protocol.log_level import LEVELS
from gateway.downstream.serialized import Serialized
from gateway.errors import ModelGateError


class McpServer(Server[dict[str, Any]]):
    """Answers the gateway's methods in sessions before the SDK would validate and reshape what it passes on.

    Of the modern era it serves discovery and subscriptions.
    """

    def __init__(
        self,
        methods: MethodTable,
        sessions: ClientSessions,
        audiences: ListChangeNotifier,
        subscriptions: Subscriptions,
    ) -> None:
        super().__init__(
            "modelgate",
            title="ModelGate",
            version=__version__,
            instructions=INSTRUCTIONS,
        )
        self._methods = methods
        self._sessions = sessions
        self._audiences = audiences
        self._subscriptions = subscriptions
        self.add_request_handler(
            "subscriptions/listen", mcp_types.SubscriptionsListenRequestParams, self._listen_to_changes
        )
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
        )

    async def _answer(self, ctx: ServerRequestContext[dict[str, Any], Any], call_next: CallNext) -> HandlerResult:
        request: Request | None = ctx.request
        if request is None or ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return await call_next(ctx)
        caller: Caller = request.scope["state"]["caller"]
        live = self._sessions.get(request.headers.get("mcp-session-id"))
        if ctx.request_id is None:
            result = await call_next(ctx)
            if ctx.method == "notifications/initialized":
                await self._opened(ctx, request, caller)
            return result
        if ctx.method == "initialize" and live is None:
            self._sessions.begun(ctx, caller)
        if live is None:
            # Some clients ask before they say that they are ready; what they leave behind ends with their session, too.
            live = await self._opened(ctx, request, caller)
        if live is not None:
            self._belongs(live, caller)
            own = await self._for_session(ctx, live)
            if own is not None:
                return own
        method = self._methods.get(ctx.method)
        if method is None:
            return await call_next(ctx)
        try:
            answer = await method(to_client_request(ctx, caller, live))
        except ModelGateError as error:
            raise MCPError(code=INTERNAL_ERROR, message=error.message) from error
        return answer.value if isinstance(answer, Serialized) else answer

    async def _opened(
        self, ctx: ServerRequestContext[Any, Any], request: Request, caller: Caller
    ) -> LiveSession | None:
        session_id = request.headers.get("mcp-session-id")
        if session_id is None or self._sessions.get(session_id) is not None:
            return self._sessions.get(session_id)
        live = self._sessions.opened(ctx, session_id, caller)
        listener = session_listener(live)
        live.closing.append(lambda: self._subscriptions.remove_all(session_id))
        live.closing.append(lambda: self._audiences.leave(listener))
        await self._audiences.join(listener)
        return live

    def roles_changed(self, scope: Scope) -> None:
        """The caller of an open request has other roles than before."""
        caller: Caller = scope["state"]["caller"]
        live = self._sessions.get(Headers(scope=scope).get("mcp-session-id"))
        if live is not None and live.caller.identity == caller.identity:
            live.caller = caller
        self._audiences.look(caller.tenant_id)
        self._subscriptions.look()

    def _belongs(self, live: LiveSession, caller: Caller) -> None:
        before, live.caller = live.caller, caller
        if before.role_ids != caller.role_ids:
            self._audiences.look(caller.tenant_id)
            self._subscriptions.look()

    async def _for_session(self, ctx: ServerRequestContext[Any, Any], live: LiveSession) -> dict[str, Any] | None:
        """The result of a method that only sessions have, None for all others."""
        params = ctx.params or {}
        if ctx.method == "logging/setLevel":
            if params.get("level") not in LEVELS:
                raise MCPError(code=INVALID_PARAMS, message=f"params.level has to be one of {', '.join(LEVELS)}.")
            live.log_level = params["level"]
            return {}
        try:
            if ctx.method == "resources/subscribe":
                key = to_client_request(ctx, live.caller, live).upstream_session_key
                subscriber = Subscriber(
                    live.id,
                    lambda: live.caller,
                    key,
                    lambda _, uri: live.tell(lambda session: session.send_resource_updated(uri)),
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

    async def _listen_to_changes(
        self, ctx: ServerRequestContext[Any, Any], params: mcp_types.SubscriptionsListenRequestParams
    ) -> mcp_types.SubscriptionsListenResult:
        assert ctx.request is not None
        scope = ctx.request.scope
        caller: Caller = scope["state"]["caller"]
        self._audiences.check_room(caller)
        uris = tuple(dict.fromkeys(params.notifications.resource_subscriptions or ()))
        check_number(uris)
        stream = ListenStream()
        listener = stream.listener(lambda: scope["state"]["caller"])
        subscriber = Subscriber(
            f"listen-{uuid.uuid4()}",
            listener.caller,
            ClientRequest(caller, ctx.method, ctx.params or {}, era="modern").upstream_session_key,
            # The SDK passes on nothing but the very addresses that were asked for.
            lambda shown, _: stream.publish(ResourceUpdated(uri=shown)),
        )
        # Subscribed while the stream is there already: an update may come at once.
        subscribing = asyncio.create_task(self._subscriptions.add_all(subscriber, uris))
        try:
            await self._audiences.join(listener)
            return await stream.serve(ctx, params)
        finally:
            self._audiences.leave(listener)
            subscribing.cancel()
            self._subscriptions.remove_all(subscriber.id)
