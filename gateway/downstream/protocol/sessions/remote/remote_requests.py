"""Requests in sessions that another process holds, answered where they come in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.cluster.cluster import Cluster
from gateway.cluster.member import holder_of
from gateway.downstream.client_request import ClientRequest, MethodHandler, OnNotification
from gateway.downstream.methods.method_table import MethodTable
from gateway.downstream.protocol.holders import forwarded_from
from gateway.downstream.protocol.replies.accepted_types import AcceptedTypes
from gateway.downstream.protocol.replies.large_answers import LargeAnswers
from gateway.downstream.protocol.sessions.handshake_request import handshake_request, has_left
from gateway.downstream.protocol.sessions.json_answer import STREAM_AFTER_SECONDS, SessionMessage, send_answer
from gateway.downstream.protocol.sessions.remote.joined_request import JoinedRequests
from gateway.downstream.protocol.sessions.remote.leased_lists import LeasedLists
from gateway.downstream.protocol.sessions.remote.remote_sessions import RemoteSessions
from gateway.downstream.protocol.sessions.remote.session_announcer import SESSIONS_SERVICE
from gateway.downstream.protocol.sessions.remote.session_facts import SessionFacts
from gateway.downstream.protocol.sessions.running_request import RunningRequest
from gateway.errors import LinkFailedError, LinkLostError
from gateway.json_codec import Message
from gateway.upstream.request import CallHooks

# Its client may have heard of a change from the holder, which this process does not know yet.
_FROM_HOLDER = "/list"
# These are answered here while the holder tells of none.
_LEASED = ("tools/list",)
# With which requests are refused in a session that has just ended, too many, and all while the holder has no database.
_ASK_AGAIN = (404, 429, 503)


@dataclass(frozen=True, slots=True)
class RemoteRequest:
    """A request in the `session` of another process that can be answered here: `body` is all of it, `message` what it
    says, with its `id`, and `handler` answers its method in one of the `accepted` types.
    """

    session: SessionFacts
    body: bytes
    message: SessionMessage
    id: str | int
    accepted: AcceptedTypes
    handler: MethodHandler


class RemoteRequests:
    """Answers what the gateway's methods answer as the holder of the session would, without asking it.

    The holder has the client's streams, so it gets a request before whose answer something else has to be said, or that
    takes longer than 100 ms; it is still answered here. All else is the holder's from the beginning.
    """

    def __init__(
        self,
        method_table: MethodTable,
        cluster: Cluster,
        known: RemoteSessions,
        lists: LeasedLists,
        joined: JoinedRequests,
    ) -> None:
        self._method_table = method_table
        self._cluster = cluster
        self._known = known
        self._lists = lists
        self._joined = joined
        self._running: dict[str, dict[str | int, RunningRequest[CallHooks]]] = {}
        known.subscribe_cancelled(self._cancel)

    def find(self, session_id: str | None, scope: Scope) -> SessionFacts | None:
        """The session of the POST of `scope`, where another process holds it and enough is known of it."""
        if session_id is None or scope["method"] != "POST" or forwarded_from(scope) is not None:
            return None
        return self._known.get(session_id)

    def note_forwarded(self, session_id: str, method: str) -> None:
        """A request of this HTTP method in a session has been answered by its holder; the next POST need not be."""
        if method == "POST":
            self._known.learn(session_id)
        elif method == "DELETE":
            # Who ends a session finds it ended, at once, where they did that.
            self._known.forget(session_id)

    def read(self, caller: Caller, session: SessionFacts, scope: Scope, body: bytes) -> RemoteRequest | None:
        """The request of the POST with this `body`, as it came; None for what is the holder's to answer."""
        accepted = AcceptedTypes.of(Headers(scope=scope))
        message = SessionMessage.of(scope, body) if accepted.json or accepted.events else None
        if message is None or message.id is None:
            return None
        if message.method in _LEASED:
            if not self._lists.may_answer(session.id, caller.tenant_id):
                return None
        elif message.method.endswith(_FROM_HOLDER):
            return None
        handler = self._method_table.get(message.method)
        return None if handler is None else RemoteRequest(session, body, message, message.id, accepted, handler)

    async def serve(self, caller: Caller, remote: RemoteRequest, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request, which has been counted; False where nothing was answered, as the holder is gone."""
        session = remote.session
        if not session.are_of(caller):
            # With other roles than before, which the holder has to see.
            self._known.forget(session.id)
            return await self._forward(remote, scope, receive, send)
        running: RunningRequest[CallHooks] = RunningRequest()
        running.start(remote.handler(self._client_request(caller, remote, running)))
        with self._running_as(session.id, remote.id, running):
            try:
                if not await running.answered_within(STREAM_AFTER_SECONDS):
                    unrefused = _Unrefused(send)
                    with self._joined.offering(running) as number:
                        is_forwarded = await self._forward(remote, scope, receive, unrefused.send, running=number)
                    if is_forwarded and not unrefused.is_refused:
                        running.expect_to_be_joined()
                        return True
                    await running.finish_alone()
                await send_answer(remote.message, session.id, running, _adapted(remote.accepted, send))
            except asyncio.CancelledError:
                running.cancel()
                raise
        return True

    async def _forward(
        self, remote: RemoteRequest, scope: Scope, receive: Receive, send: Send, running: int | None = None
    ) -> bool:
        holder = holder_of(remote.session.id)
        assert holder is not None
        return await self._cluster.forwarder.forward(
            holder, scope, receive, send, body=remote.body, is_counted=True, running=running
        )

    def _client_request(
        self,
        caller: Caller,
        remote: RemoteRequest,
        running: RunningRequest[CallHooks],
    ) -> ClientRequest:
        async def report_progress(progress: float, total: float | None, message: str | None) -> None:
            hooks = await running.context()
            if hooks is not None and hooks.on_progress is not None:
                await hooks.on_progress(progress, total, message)

        async def notify(method: str, params: Message) -> None:
            hooks = await running.context()
            if hooks is not None and hooks.on_notification is not None:
                await hooks.on_notification(method, params)

        async def ask(method: str, params: Message) -> Message:
            hooks = await running.context()
            if hooks is None or hooks.on_server_request is None:
                raise has_left()
            return await hooks.on_server_request(method, params)

        return handshake_request(
            caller,
            remote.session,
            remote.message.method,
            remote.message.params,
            remote.session.capabilities,
            on_progress=report_progress,
            on_notification=notify,
            ask_client=ask if remote.accepted.events else None,
            notify_session=self._session_notifier(remote.session.id),
        )

    def _session_notifier(self, session_id: str) -> OnNotification:
        async def notify(method: str, params: Message) -> None:
            member = self._cluster.membership.others.get(str(holder_of(session_id)))
            if member is None:
                return
            with contextlib.suppress(LinkLostError, LinkFailedError):
                link = await self._cluster.hop.link(member)
                await link.ask(SESSIONS_SERVICE, {"session": session_id, "notify": [method, params]})

        return notify

    @contextlib.contextmanager
    def _running_as(self, session_id: str, request_id: str | int, running: RunningRequest[CallHooks]) -> Iterator[None]:
        """While a request has this id, by which its client may cancel it."""
        of_session = self._running.setdefault(session_id, {})
        of_session[request_id] = running
        try:
            yield
        finally:
            if of_session.get(request_id) is running:
                del of_session[request_id]
            if not of_session and self._running.get(session_id) is of_session:
                del self._running[session_id]

    def _cancel(self, session_id: str, request_id: str | int | None) -> None:
        of_session = self._running.get(session_id, {})
        for each, running in list(of_session.items()):
            if request_id is None or each == request_id:
                running.cancel()


class _Unrefused:
    """Lets the answer of the holder through, but for one that has its client, or a proxy, send the request again: it is
    under way already.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_refused = False

    async def send(self, message: AsgiMessage) -> None:
        """Send what the holder sends."""
        if message["type"] == "http.response.start":
            self.is_refused = message["status"] in _ASK_AGAIN
        if not self.is_refused:
            await self._send(message)


def _adapted(accepted: AcceptedTypes, send: Send) -> Send:
    return accepted.adapt(LargeAnswers(send, accepted.json) if accepted.events else send)
