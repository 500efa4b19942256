"""HTTP+SSE, the transport of 2024-11-05, for clients that know no other: a stream of events, and POSTs beside it.

It is deprecated, and nothing is to be had by it that is not at /mcp.
"""

from __future__ import annotations

import contextlib
from urllib.parse import parse_qs

from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from starlette.types import Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.downstream.protocol.authentication import PROFILES_PATH, bind_caller
from gateway.downstream.protocol.holders import Holders
from gateway.downstream.protocol.in_flight_requests import InFlightRequests
from gateway.downstream.protocol.mcp_server import McpServer
from gateway.downstream.protocol.replies.accepted_types import AcceptedTypes
from gateway.downstream.protocol.sessions.client_sessions import ClientSessions
from gateway.downstream.protocol.sse.sse_requests import FollowedReadStream, FollowedWriteStream, SseRequests
from gateway.edge.root_path import root_path_of

SSE_PATH = "/sse"
SSE_PROFILES_PATH = "/sse/p/"

_MESSAGES = "/messages"
_MCP_PATH = "/mcp"
_STREAMS = "sse"


def mcp_path_of(path: str) -> str | None:
    """The path of the MCP endpoint that is served by HTTP+SSE at `path`; None where none is."""
    stream = _stream_path(path)
    if stream == SSE_PATH:
        return _MCP_PATH
    name = stream.removeprefix(SSE_PROFILES_PATH)
    return PROFILES_PATH + name if stream.startswith(SSE_PROFILES_PATH) and name and "/" not in name else None


def held_by_path(path: str) -> str | None:
    """The id that says which process has the stream to which a message at `path` belongs; None where none is said."""
    _, found, holder = path.rstrip("/").rpartition(f"{_MESSAGES}/")
    return holder if found else None


def _stream_path(path: str) -> str:
    """The path of the stream of messages at `path`, or of the stream that `path` is."""
    return path.rstrip("/").partition(_MESSAGES)[0]


class HttpSse:
    """Serves the stream of a session, and takes the messages of its client, over the same server as /mcp."""

    def __init__(
        self,
        server: McpServer,
        sessions: ClientSessions,
        holders: Holders,
        in_flight: InFlightRequests,
        max_body_bytes: int,
    ) -> None:
        self._server = server
        self._sessions = sessions
        self._in_flight = in_flight
        held_id = holders.hold(_STREAMS)
        messages = _MESSAGES if held_id == _STREAMS else f"{_MESSAGES}/{held_id}"
        self._transport = SseServerTransport(messages, max_request_body_size=max_body_bytes)

    async def serve(self, caller: Caller, sse_path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of `caller` for `sse_path`. Raises LimitError where it may not have a session more."""
        bind_caller(scope, caller)
        scope["state"]["accepted"] = AcceptedTypes(json=True, events=True)
        if scope["method"] == "POST" or _MESSAGES in sse_path:
            await self._take_message(scope, receive, send)
            return
        with self._sessions.opening(caller):
            # Only whether there may be one more: from its handshake on the session counts by itself.
            pass
        scope = {**scope, "root_path": root_path_of(scope) + sse_path.rstrip("/")}
        async with self._transport.connect_sse(scope, receive, send) as (incoming, outgoing):
            requests = SseRequests(self._in_flight, outgoing)
            streams = FollowedReadStream(incoming, requests), FollowedWriteStream(outgoing, requests)
            try:
                with contextlib.suppress(ConnectionError):
                    await serve_loop(self._server, *streams, lifespan_state={})
            finally:
                requests.close()

    async def _take_message(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        session = query.get("session_id", [""])[0]
        # The other transport says in a header whose message it is.
        scope = {**scope, "headers": [*scope["headers"], (b"mcp-session-id", f"sse-{session}".encode())]}
        await self._transport.handle_post_message(scope, receive, send)
