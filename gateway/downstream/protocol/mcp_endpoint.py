"""The ASGI application at /mcp: lets requests in and gives each to what speaks its protocol era."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from mcp_types import INVALID_REQUEST
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.downstream.admission import AdmissionControl
from gateway.downstream.jsonrpc import error_response, parse_error_response, stopping_response, unavailable_response
from gateway.downstream.protocol.authentication import Authentication, bind_caller
from gateway.downstream.protocol.credential_revalidator import CredentialRevalidator
from gateway.downstream.protocol.holders import Holders, forwarded_from, request_state
from gateway.downstream.protocol.in_flight_requests import InFlightRequests
from gateway.downstream.protocol.modern_requests import ModernRequests
from gateway.downstream.protocol.one_shot_requests import OneShotRequests
from gateway.downstream.protocol.origin_guard import OriginGuard
from gateway.downstream.protocol.replies.accepted_types import AcceptedTypes
from gateway.downstream.protocol.replies.large_answers import LargeAnswers
from gateway.downstream.protocol.request_body import read_body
from gateway.downstream.protocol.sessions.client_sessions import ClientSessions
from gateway.downstream.protocol.sessions.remote.remote_requests import RemoteRequest, RemoteRequests
from gateway.downstream.protocol.sessions.remote.session_facts import SessionFacts
from gateway.downstream.protocol.sessions.session_manager import SessionManager
from gateway.downstream.protocol.sessions.session_requests import SessionRequests
from gateway.downstream.protocol.sse.http_sse import SSE_PATH, HttpSse, held_by_path, mcp_path_of
from gateway.edge.body_replay import replay_body
from gateway.errors import (
    CredentialError,
    DatabaseUnavailableError,
    LimitError,
    NotFoundError,
    OverloadedError,
    RoleMissingError,
    SignInUnavailableError,
)
from gateway.settings import ServerSettings

_SSE_KEY = "modelgate.sse_path"
_SUBSCRIPTION = "subscriptions/listen"
# What a gateway that stops leaves to the one that comes after it.
_NEW_WORK = ("initialize", "tools/call", "prompts/get", "resources/read", "completion/complete", _SUBSCRIPTION)


class McpEndpoint:
    """One URL for both protocol eras and for plain POSTs."""

    def __init__(
        self,
        authentication: Authentication,
        session_manager: SessionManager,
        session_requests: SessionRequests,
        remote_requests: RemoteRequests | None,
        one_shot_requests: OneShotRequests,
        modern_requests: ModernRequests,
        revalidator: CredentialRevalidator,
        sessions: ClientSessions,
        http_sse: HttpSse,
        holders: Holders,
        admission: AdmissionControl,
        in_flight: InFlightRequests,
        settings: ServerSettings,
    ) -> None:
        """Without `remote_requests` there are no other processes."""
        self._authentication = authentication
        self._one_shot_requests = one_shot_requests
        self._modern_requests = modern_requests
        self._revalidator = revalidator
        self._sessions = sessions
        self._http_sse = http_sse
        self._holders = holders
        self._admission = admission
        self._origin_guard = OriginGuard(settings)
        self._max_body_bytes = settings.max_body_bytes
        self._in_flight = in_flight
        # Since this process stops: what others have been given to answer, and calls that go on with answers of clients.
        self._elsewhere = InFlightRequests()
        self._is_stopping = False
        self._session_manager = session_manager
        self._session_requests = session_requests
        self._remote_requests = remote_requests

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sessions live as long as this block."""
        async with self._revalidator.running(), self._session_manager.run():
            yield

    async def stop(self, seconds: float) -> int:
        """Take no new work, which goes to another process or is refused, answer what is under way for so long, end what
        is left; returns how many calls that were.

        What belongs to a call under way is taken: answers to what its server asks, and what its client lists after it.
        Streams that have no end by themselves, and those of HTTP+SSE, end last.
        """
        self._is_stopping = True
        cut_off = await self._in_flight.finish(seconds)
        self._revalidator.end_all()
        return cut_off

    async def finish_elsewhere(self, seconds: float) -> None:
        """Wait until what others have been given to answer is answered, and calls that went on, at most so long."""
        await self._elsewhere.finish(seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        headers = Headers(scope=scope)
        sse_path, path = scope["path"], mcp_path_of(scope["path"])
        if path is None and sse_path.startswith(SSE_PATH):
            await Response("There is nothing at this address.", 404)(scope, receive, send)
            return
        if path is not None:
            scope = {**scope, "path": path, _SSE_KEY: sse_path}
        if self._is_stopping:
            taken = await self._take_while_stopping(headers, scope, receive, send)
            if taken is None:
                return
            receive = taken
        if _is_bounded(headers, scope):
            await self._in_flight.serve(partial(self._serve, headers), scope, receive, send)
        else:
            await self._serve(headers, scope, receive, send)

    async def _take_while_stopping(
        self, headers: Headers, scope: Scope, receive: Receive, send: Send
    ) -> Receive | None:
        """Answer new work, by another process or with a refusal; of all else its body again."""
        origin = forwarded_from(scope)
        if scope["method"] == "DELETE" or (origin is not None and origin.running is not None):
            return receive
        refused = await self._identify(headers, scope)
        if isinstance(refused, Response):
            await refused(scope, receive, send)
            return None
        request_id: object = None
        state: str | None = None
        if scope["method"] == "POST":
            body = await read_body(headers, receive, self._max_body_bytes)
            if isinstance(body, Response):
                await body(scope, receive, send)
                return None
            receive = replay_body(body, receive)
            try:
                message = json.loads(body)
            except (ValueError, RecursionError):
                message = None
            if isinstance(message, dict):
                if message.get("method") not in _NEW_WORK:
                    return receive
                request_id = message.get("id")
            state = request_state(body)
        held_id = headers.get("mcp-session-id") or held_by_path(scope.get(_SSE_KEY, ""))
        serve: ASGIApp = partial(self._serve_elsewhere, held_id, state, request_id)
        if state is not None and self._holders.is_here(state):
            serve = partial(self._in_flight.serve, partial(self._serve, headers))
        if _is_bounded(headers, scope):
            await self._elsewhere.serve(serve, scope, receive, send)
        else:
            await serve(scope, receive, send)
        return None

    async def _serve_elsewhere(
        self,
        held_id: str | None,
        state: str | None,
        request_id: object,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Have a request answered that belongs to what goes by `held_id`, or goes on with the call of `state`, None for
        neither, where that is, and any other by any process.
        """

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                # What its client asks next does not come here.
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        scope = _as_it_came(scope)
        if held_id is not None:
            if await self._holders.forward(held_id, scope, receive, send_closing):
                return
            if forwarded_from(scope) is not None or self._holders.others_take_new_work:
                # Its client opens another session, with a process that goes on.
                refused = error_response(None, INVALID_REQUEST, "Session not found", status=404)
                await refused(scope, receive, send)
                return
        elif await self._holders.forward(state, scope, receive, send_closing) or (
            await self._holders.forward_new_work(scope, receive, send_closing)
        ):
            return
        refused = stopping_response(request_id, "The gateway is stopping; ask again in a moment.")
        await refused(scope, receive, send)

    async def _identify(self, headers: Headers, scope: Scope) -> Caller | Response:
        """Who makes a request; its answer where nobody does who may. Until then nothing is read and nobody asked."""
        refused = self._origin_guard.check(headers)
        if refused is not None:
            return refused
        try:
            return await self._authentication.authenticate(scope)
        except (CredentialError, RoleMissingError, NotFoundError) as error:
            return self._authentication.refuse(error, scope)
        except (DatabaseUnavailableError, SignInUnavailableError) as error:
            return unavailable_response(error)

    async def _serve(self, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._identify(headers, scope)
        if isinstance(caller, Response):
            await caller(scope, receive, send)
            return
        held_id = headers.get("mcp-session-id") or held_by_path(scope.get(_SSE_KEY, ""))
        remote: RemoteRequest | None = None
        session = self._find_remote(headers, scope)
        if session is not None and self._remote_requests is not None:
            body = await read_body(headers, receive, self._max_body_bytes)
            if isinstance(body, Response):
                await body(scope, receive, send)
                return
            remote = self._remote_requests.read(caller, session, scope, body)
            receive = replay_body(body, receive)
        if held_id is not None and remote is None and await self._forward(held_id, scope, receive, send):
            return
        place: AbstractContextManager[None] = nullcontext()
        try:
            origin = forwarded_from(scope)
            if origin is None or not origin.is_counted:
                await self._authentication.count_request(caller)
            if _is_bounded(headers, scope):
                place = await self._admission.admit(caller.tenant_id)
        except LimitError as error:
            await self._authentication.refuse(error, scope)(scope, receive, send)
            return
        except OverloadedError as error:
            await unavailable_response(error)(scope, receive, send)
            return
        with place:
            if remote is None:
                await self._serve_caller(caller, headers, scope, receive, send)
                return
            bind_caller(scope, caller)
            await self._revalidator.serve(partial(self._serve_remote, caller, remote), scope, receive, send)

    def _find_remote(self, headers: Headers, scope: Scope) -> SessionFacts | None:
        """The session of the request of `scope`, where it may be answered here, though another process holds it."""
        version = headers.get("mcp-protocol-version")
        if self._remote_requests is None or not (version is None or version in HANDSHAKE_PROTOCOL_VERSIONS):
            return None
        return self._remote_requests.find(headers.get("mcp-session-id"), scope)

    async def _forward(self, held_id: str, scope: Scope, receive: Receive, send: Send) -> bool:
        """Have another process answer that holds what the request is about; False where none does."""
        if not await self._holders.forward(held_id, _as_it_came(scope), receive, send):
            return False
        if self._remote_requests is not None:
            self._remote_requests.note_forwarded(held_id, scope["method"])
        return True

    async def _serve_caller(self, caller: Caller, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        if _SSE_KEY in scope:
            await self._revalidator.serve(partial(self._serve_sse, caller), scope, receive, send)
            return
        accepted = AcceptedTypes.of(headers)
        # There are no subscriptions but as a stream.
        if accepted.events or headers.get("mcp-method") != _SUBSCRIPTION:
            accepted.spell_out(scope)
        scope.setdefault("state", {})["accepted"] = accepted
        if scope["method"] == "POST":
            send = LargeAnswers(send, accepted.json) if accepted.events else send
            send = accepted.adapt(send)
        version = headers.get("mcp-protocol-version")
        is_handshake = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
        if not is_handshake:
            # Not every HTTP parser takes off the white space that may stand around a value (RFC 9110, 5.5).
            scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
            await self._revalidator.serve(partial(self._serve_modern, caller, accepted), scope, receive, send)
            return
        if scope["method"] != "POST" or "mcp-session-id" in headers:
            bind_caller(scope, caller)
            await self._revalidator.serve(partial(self._serve_session, caller, accepted), scope, receive, send)
            return
        await self._revalidator.serve(partial(self._serve_plain, caller), scope, receive, send)

    async def _serve_sse(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._http_sse.serve(caller, scope[_SSE_KEY], scope, receive, send)
        except LimitError as error:
            await self._authentication.refuse(error, scope)(scope, receive, send)

    async def _serve_plain(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(Headers(scope=scope), receive, self._max_body_bytes)
        if isinstance(body, Response):
            await body(scope, receive, send)
            return
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            await parse_error_response()(scope, receive, send)
            return
        if isinstance(message, dict) and message.get("method") == "initialize":
            await self._open_session(caller, scope, replay_body(body, receive), send)
            return
        await self._one_shot_requests.serve(caller, message, scope, receive, send)

    async def _serve_session(
        self, caller: Caller, accepted: AcceptedTypes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["method"] == "POST":
            body = await read_body(Headers(scope=scope), receive, self._max_body_bytes)
            if isinstance(body, Response):
                await body(scope, receive, send)
                return
            if await self._session_requests.serve(caller, accepted, body, scope, receive, send):
                return
            receive = replay_body(body, receive)
        await self._session_manager.handle_request(scope, receive, send)

    async def _serve_remote(
        self, caller: Caller, remote: RemoteRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        assert self._remote_requests is not None
        # Its body, which is known; what comes after it says whether the client is still there.
        await receive()
        if not await self._remote_requests.serve(caller, remote, scope, receive, send):
            # The session has gone with its process.
            await self._session_manager.handle_request(scope, replay_body(remote.body, receive), send)

    async def _open_session(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        if self._session_manager.is_full:
            full = OverloadedError("The gateway has as many sessions open as it may have; try again in a moment.")
            await unavailable_response(full)(scope, receive, send)
            return
        bind_caller(scope, caller)
        try:
            with self._sessions.opening(caller):
                await self._session_manager.handle_request(scope, receive, send)
        except LimitError as error:
            await self._authentication.refuse(error, scope)(scope, receive, send)

    async def _serve_modern(
        self, caller: Caller, accepted: AcceptedTypes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["method"] == "POST":
            body = await read_body(Headers(scope=scope), receive, self._max_body_bytes)
            if isinstance(body, Response):
                await body(scope, receive, send)
                return
            state = request_state(body)
            if state is not None and await self._holders.forward(state, scope, replay_body(body, receive), send):
                return
            if await self._modern_requests.serve(caller, accepted, body, scope, receive, send):
                return
            receive = replay_body(body, receive)
        bind_caller(scope, caller)
        await self._session_manager.handle_request(scope, receive, send)


def _as_it_came(scope: Scope) -> Scope:
    """The request under the path that its client has asked for."""
    return {**scope, "path": scope[_SSE_KEY]} if _SSE_KEY in scope else scope


def _is_bounded(headers: Headers, scope: Scope) -> bool:
    """Whether a request has an end by itself, as streams have not that only listen."""
    return bool(scope["method"] == "POST") and headers.get("mcp-method") != _SUBSCRIPTION
