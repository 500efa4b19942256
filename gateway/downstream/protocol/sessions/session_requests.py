"""Requests in handshake sessions, answered as plain JSON without the SDK's machinery, which costs more than a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.protocol.holders import forwarded_from
from gateway.downstream.protocol.replies.accepted_types import AcceptedTypes
from gateway.downstream.protocol.sessions.client_sessions import ClientSessions, LiveSession
from gateway.downstream.protocol.sessions.handshake_request import Context, session_request
from gateway.downstream.protocol.sessions.json_answer import STREAM_AFTER_SECONDS, SessionMessage, send_answer
from gateway.downstream.protocol.sessions.remote.joined_request import JoinedRequests
from gateway.downstream.protocol.sessions.running_request import RUNNING, RunningRequest
from gateway.downstream.protocol.sessions.session_manager import SessionManager
from gateway.edge.body_replay import replay_body

_CANCELLED = "notifications/cancelled"


class SessionRequests:
    """Answers what the gateway's methods answer, of sessions whose handshake has ended.

    A request before whose answer something else has to be said, or that takes longer than 100 ms, goes on in the SDK,
    on an event stream. All else is the SDK's from the beginning.
    """

    def __init__(
        self,
        method_table: MethodTable,
        sessions: ClientSessions,
        session_manager: SessionManager,
        update_caller: Callable[[LiveSession, Caller], None],
        joined: JoinedRequests | None,
    ) -> None:
        """`update_caller` is told who makes a request, as their roles may be others than before. Without `joined` there
        are no other processes.
        """
        self._method_table = method_table
        self._sessions = sessions
        self._session_manager = session_manager
        self._update_caller = update_caller
        self._joined = joined

    async def serve(
        self, caller: Caller, accepted: AcceptedTypes, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Answer the POST with this `body`; False where nothing was answered, as it is the SDK's to answer."""
        live = self._sessions.get(Headers(scope=scope).get("mcp-session-id"))
        if live is not None and live.caller.identity != caller.identity:
            live = None
        message = SessionMessage.of(scope, body) if live is not None and (accepted.json or accepted.events) else None
        origin = forwarded_from(scope)
        if origin is not None and origin.running is not None:
            # Whatever becomes of it here, it is not begun a second time.
            running = self._join(origin.member_id, origin.running, caller, live)
            await self._go_on(live, message, running, scope, replay_body(body, receive), send)
            return True
        if live is None or message is None:
            return False
        if message.method == _CANCELLED:
            self._sessions.cancel(live, message.params.get("requestId"))
            return False
        handler = self._method_table.get(message.method)
        if handler is None or message.id is None:
            return False
        with self._session_manager.holding(live.id) as is_open:
            if not is_open:
                return False
            self._update_caller(live, caller)
            running = RunningRequest()
            request = session_request(live, message.method, message.params, accepted.events, running.context)
            running.start(handler(request))
            with live.running_as(message.id, running):
                try:
                    if await running.answered_within(STREAM_AFTER_SECONDS):
                        await send_answer(message, live.id, running, send)
                        return True
                except asyncio.CancelledError:
                    running.cancel()
                    raise
            await self._go_on(live, message, running, scope, replay_body(body, receive), send)
        return True

    def _join(self, member_id: str, number: int, caller: Caller, live: LiveSession | None) -> RunningRequest[Context]:
        assert self._joined is not None
        running: RunningRequest[Context] = RunningRequest()
        running.start(self._joined.join(member_id, number, running.context, caller, live))
        return running

    async def _go_on(
        self,
        live: LiveSession | None,
        message: SessionMessage | None,
        running: RunningRequest[Context],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Have the SDK take a request over that is under way."""
        scope["state"][RUNNING] = running
        try:
            if live is None or message is None or message.id is None:
                await self._session_manager.handle_request(scope, receive, send)
                return
            with live.running_as(message.id, running):
                await self._session_manager.handle_request(scope, receive, send)
        finally:
            running.expect_to_be_joined()
