"""The SDK's sessions, resumable, and held open by requests that the SDK does not see."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from gateway.downstream.protocol.sessions.event_store import EventStores
from gateway.settings import ServerSettings

_RETRY_MS = 1000


class SessionManager(StreamableHTTPSessionManager):
    """Sessions whose streams can be taken up again where they broke off.

    Each has an event store of its own: the SDK would have all share one, and names streams alike in all of them.
    """

    def __init__(self, server: Server[dict[str, Any]], settings: ServerSettings, hold: Callable[[str], str]) -> None:
        """`hold` makes the ids of sessions of the SDK's."""
        super().__init__(
            server,
            retry_interval=_RETRY_MS,
            session_idle_timeout=settings.session_idle_seconds,
            max_sessions=settings.max_sessions,
            max_request_body_size=settings.max_body_bytes,
        )
        self._event_stores = EventStores(settings.replay_bytes)
        self._hold = hold
        self._idle_seconds = settings.session_idle_seconds

    @property
    def is_full(self) -> bool:
        """Whether there are as many sessions as there may be."""
        return self.max_sessions is not None and len(self._server_instances) >= self.max_sessions

    @contextlib.contextmanager
    def holding(self, session_id: str) -> Iterator[bool]:
        """Keep a session from ending for want of requests; gives whether it is open at all."""
        transport = self._server_instances.get(session_id)
        idle = None if transport is None else transport.idle_scope
        if transport is None or transport.is_terminated or idle is None or idle.cancel_called:
            yield False
            return
        # As the SDK's transport does for requests that it serves itself, where there is no way to take part in it.
        transport._requests_in_flight += 1
        idle.deadline = math.inf
        try:
            yield True
        finally:
            transport._requests_in_flight -= 1
            if not transport._requests_in_flight:
                idle.deadline = anyio.current_time() + self._idle_seconds

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        self.event_store = self._event_stores.open()
        try:
            transport = super()._admit_session(requestor)
        finally:
            self.event_store = None
        if transport is not None and transport.mcp_session_id is not None:
            # Whichever process gets a request of the session has to know which one has it.
            given, held = transport.mcp_session_id, self._hold(transport.mcp_session_id)
            transport.mcp_session_id = held
            self._server_instances[held] = self._server_instances.pop(given)
            if given in self._session_owners:
                self._session_owners[held] = self._session_owners.pop(given)
        return transport
