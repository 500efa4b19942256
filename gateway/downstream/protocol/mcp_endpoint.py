"""The ASGI application at /mcp: lets requests in and gives each to what speaks its protocol era."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import INVALID_REQUEST
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.downstream.jsonrpc import error_response, parse_error_response, stopping_response, unavailable_response
from gateway.downstream.protocol.accepted_types import AcceptedTypes
from gateway.downstream.protocol.authentication import Authentication, bind_caller
from gateway.downstream.protocol.client_sessions import ClientSessions
from gateway.downstream.protocol.credential_revalidator import CredentialRevalidator
from gateway.downstream.protocol.event_store import EventStores
from gateway.downstream.protocol.http_sse import SSE_PATH, HttpSse, mcp_path_of
from gateway.downstream.protocol.large_answers import LargeAnswers
from gateway.downstream.protocol.mcp_server import McpServer
from gateway.downstream.protocol.modern_requests import ModernRequests
from gateway.downstream.protocol.one_shot_requests import OneShotRequests
from gateway.downstream.protocol.origin_guard import OriginGuard
from gateway.downstream.protocol.requests_under_way import RequestsUnderWay
from gateway.errors import (
    CredentialError,
    DatabaseUnavailableError,
    LimitError,
    NotFoundError,
    RoleMissingError,
    SignInUnavailableError,
)
from gateway.settings import ServerSettings

_RETRY_MS = 1000
_SSE_KEY = "modelgate.sse_path"
_SUBSCRIPTION = "subscriptions/listen"
# What a gateway that stops leaves to the one that comes after it.
_NEW_WORK = ("initialize", "tools/call", "prompts/get", "resources/read", "completion/complete", _SUBSCRIPTION)


class McpEndpoint:
    """One URL for both protocol eras and for plain POSTs."""

    def __init__(
        self,
        authentication: Authentication,
        server: McpServer,
        one_shot_requests: OneShotRequests,
        modern_requests: ModernRequests,
        revalidator: CredentialRevalidator,
        sessions: ClientSessions,
        http_sse: HttpSse,
        settings: ServerSettings,
    ) -> None:
        self._authentication = authentication
        self._one_shot_requests = one_shot_requests
        self._modern_requests = modern_requests
        self._revalidator = revalidator
        self._sessions = sessions
        self._http_sse = http_sse
        self._origin_guard = OriginGuard(settings)
        self._max_body_bytes = settings.max_body_bytes
        self._under_way = RequestsUnderWay()
        self._is_stopping = False
        self._session_manager = _ResumableSessionManager(
            server,
            EventStores(settings.replay_bytes),
            retry_interval=_RETRY_MS,
            session_idle_timeout=settings.session_idle_seconds,
            max_sessions=settings.max_sessions,
            max_request_body_size=settings.max_body_bytes,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sessions live as long as this block."""
        async with self._revalidator.running(), self._session_manager.run():
            yield

    async def stop(self, seconds: float) -> int:
        """Take no new work, answer what is under way for so long, end what is left; returns how many calls that were.

        What belongs to a call under way is taken: answers to what its server asks, and what its client lists after it.
        Streams that have no end by themselves end last.
        """
        self._is_stopping = True
        cut_off = await self._under_way.finish(seconds)
        self._revalidator.end_all()
        return cut_off

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
            refused = await self._refuse_new(headers, scope, receive)
            if isinstance(refused, Response):
                await refused(scope, receive, send)
                return
            receive = refused
        if scope["method"] != "POST" or headers.get("mcp-method") == _SUBSCRIPTION:
            await self._serve(headers, scope, receive, send)
        else:
            await self._under_way.serve(partial(self._serve, headers), scope, receive, send)

    async def _refuse_new(self, headers: Headers, scope: Scope, receive: Receive) -> Response | Receive:
        """The refusal of new work while the gateway stops; of all else its body again."""
        if scope["method"] == "DELETE":
            return receive
        body = await self._read_body(headers, receive) if scope["method"] == "POST" else b"null"
        if isinstance(body, Response):
            return body
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            message = None
        request_id = message.get("id") if isinstance(message, dict) else None
        if isinstance(message, dict) and message.get("method") not in _NEW_WORK:
            return _replay_body(body, receive)
        return stopping_response(request_id, "The gateway is stopping; ask again in a moment.")

    async def _serve(self, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._origin_guard.check(headers)
        if refused is None:
            try:
                caller = await self._authentication.authenticate(scope)
                self._authentication.count_request(caller)
            except (CredentialError, RoleMissingError, LimitError, NotFoundError) as error:
                refused = self._authentication.refuse(error, scope)
            except (DatabaseUnavailableError, SignInUnavailableError) as error:
                refused = unavailable_response(error)
        if refused is not None:
            await refused(scope, receive, send)
            return
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
            await self._revalidator.serve(self._session_manager.handle_request, scope, receive, send)
            return
        await self._revalidator.serve(partial(self._serve_plain, caller), scope, receive, send)

    async def _serve_sse(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._http_sse.serve(caller, scope[_SSE_KEY], scope, receive, send)
        except LimitError as error:
            await self._authentication.refuse(error, scope)(scope, receive, send)

    async def _serve_plain(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._read_body(Headers(scope=scope), receive)
        if isinstance(body, Response):
            await body(scope, receive, send)
            return
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            await parse_error_response()(scope, receive, send)
            return
        if isinstance(message, dict) and message.get("method") == "initialize":
            await self._open_session(caller, scope, _replay_body(body, receive), send)
            return
        await self._one_shot_requests.serve(caller, message, scope, receive, send)

    async def _open_session(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
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
            body = await self._read_body(Headers(scope=scope), receive)
            if isinstance(body, Response):
                await body(scope, receive, send)
                return
            if await self._modern_requests.serve(caller, accepted, body, scope, receive, send):
                return
            receive = _replay_body(body, receive)
        bind_caller(scope, caller)
        await self._session_manager.handle_request(scope, receive, send)

    async def _read_body(self, headers: Headers, receive: Receive) -> bytes | Response:
        """The body, or 413 as soon as it is known to be too long."""
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_body_bytes:
            return self._body_too_long()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return Response(status_code=499)
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._max_body_bytes:
                return self._body_too_long()
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _body_too_long(self) -> Response:
        text = f"The body is longer than the {self._max_body_bytes} bytes it may have."
        return error_response(None, INVALID_REQUEST, text, status=413)


class _ResumableSessionManager(StreamableHTTPSessionManager):
    """Sessions whose streams can be taken up again where they broke off.

    Each has an event store of its own: the SDK would have all share one, and names streams alike in all of them.
    """

    def __init__(self, server: McpServer, event_stores: EventStores, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._event_stores = event_stores

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        self.event_store = self._event_stores.open()
        try:
            return super()._admit_session(requestor)
        finally:
            self.event_store = None


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body again, then what comes after it."""
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
