"""All upstream servers that are in use, each with its sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import TaskGroup
from typing_extensions import Self

from gateway.errors import UpstreamError
from gateway.json_codec import Message
from gateway.settings import UpstreamSettings
from gateway.telemetry.tracing import span
from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.notifications import NotificationListener, SessionListener
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.server import UpstreamServer
from gateway.upstream.server_breaker import ServerBreaker
from gateway.upstream.sessions.session import UpstreamSession
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerStatus
from gateway.upstream.transports.process_reaper import ProcessReaper

ListChangedListener = Callable[[ServerSpec, str], None]
"""Called with the server and the method, as in `notifications/tools/list_changed`; must return at once."""

_CLIENT_SESSION_IDLE_SECONDS = 1800.0


class UpstreamPool:
    """Long-lived sessions with upstream servers, opened when first needed. Entered and left in one task.

    No server can hold up another: each has its own sessions, call slots and breaker.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        *,
        on_list_changed: ListChangedListener | None = None,
        on_notification: NotificationListener | None = None,
        on_session: SessionListener | None = None,
        capabilities: Message | None = None,
        max_client_processes: int = 64,
        max_client_sessions: int = 1_000,
    ) -> None:
        """The listeners hear what belongs to no call, except that `on_notification` hears no changed lists.
        `capabilities` are offered to every server. At most `max_client_processes` clients have a process of a stdio
        server for themselves, and at most `max_client_sessions` a session of their own with any other server.
        """
        self._settings = settings
        self._max_client_processes = max_client_processes
        self._max_client_sessions = max_client_sessions
        self._on_list_changed = on_list_changed
        self._on_notification = on_notification
        self._on_session = on_session
        self._capabilities = capabilities
        self._servers: dict[int, UpstreamServer] = {}
        self._reaper = ProcessReaper()
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._reaper)
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End every session; the children of stdio servers are gone afterwards."""
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    async def request(self, spec: ServerSpec, request: UpstreamRequest) -> Message:
        """Send a request to the server of `spec` and return its result untouched.

        Progress puts off its timeout until the call has taken `max_call_seconds` of the settings or, where that is
        more, its timeout.
        Raises UpstreamReplyError, UpstreamTimeoutError, UpstreamUnavailableError, UpstreamBusyError,
        UpstreamProtocolError.
        """
        attributes = {"mcp.method.name": request.method, "modelgate.server": spec.name}
        with span(f"{request.method} {spec.name}", "client", attributes):
            return await self._server(spec).request(request)

    async def list_all(
        self, spec: ServerSpec, method: str, key: str, credential: PersonCredential | None = None
    ) -> list[Any]:
        """Every item under `key` of a list method, from all pages, within `spec.list_timeout`; raises as `request`.

        It is listed by the server's own credential, or by that of a person. The items are as the server gave them:
        normally dictionaries, and each for the caller to judge.
        """
        return await self._server(spec).list_all(method, key, credential)

    async def check(self, spec: ServerSpec) -> ServerStatus:
        """Ping the server, connecting it where it is not, and return how it does. A failure is told by the status.

        A check does not put off the idle stop of a stdio server, but does start one that has been stopped.
        """
        server = self._server(spec)
        with suppress(UpstreamError):
            await server.check(spec.connect_timeout)
        return server.status()

    async def fetch_status(self, spec: ServerSpec) -> ServerStatus:
        """How the server does, asked of whoever has the sessions with it; the server itself is not asked."""
        return self.status(spec.id)

    def session_info(self, spec: ServerSpec) -> SessionInfo | None:
        """What the server said of itself when it was last connected under `spec`; None before that."""
        server = self._servers.get(spec.id)
        return server.info if server is not None and server.spec == spec else None

    def listing_note(self, spec: ServerSpec, method: str) -> str:
        """What was odd about the last listing of `method`, in a sentence; empty for nothing."""
        server = self._servers.get(spec.id)
        return server.listing_notes.get(method, "") if server is not None else ""

    def status(self, server_id: int) -> ServerStatus:
        """How the server does; `idle` where it has not been used."""
        server = self._servers.get(server_id)
        return server.status() if server is not None else ServerStatus()

    def states(self) -> Mapping[str, float]:
        """How many servers that have been used are in each `ServerState`."""
        return Counter(server.status().state for server in self._servers.values())

    def calls(self) -> Mapping[str, float]:
        """How many calls are "in_flight" to all servers, and "waiting" for a slot."""
        servers = self._servers.values()
        return {
            "in_flight": sum(server.calls_in_flight for server in servers),
            "waiting": sum(server.calls_waiting for server in servers),
        }

    def open_breakers(self) -> Mapping[str, float]:
        """By the name of each server that has been used, 1 where it is left alone."""
        return {server.spec.name: float(server.is_left_alone) for server in self._servers.values()}

    @property
    def restarts(self) -> int:
        """Connections after the first of each session of the servers that have been used."""
        return sum(server.status().restarts for server in self._servers.values())

    async def close_server(self, server_id: int) -> None:
        """End all sessions with the server, and forget how it did."""
        server = self._servers.pop(server_id, None)
        if server is not None:
            await server.close()

    async def close_sessions(self, session_key: str) -> None:
        """End the sessions that were opened for `session_key` alone, a client or a person; calls in flight fail."""
        async with anyio.create_task_group() as tasks:
            for server in self._servers.values():
                tasks.start_soon(server.close_session, session_key)

    def person_sessions(self) -> set[str]:
        """The persons who have sessions in this process, as their credentials name these."""
        return {person for server in self._servers.values() for person in server.persons}

    async def close_sessions_here(self, session_key: str) -> None:
        """The same as `close_sessions`, of those that are in this process."""
        await UpstreamPool.close_sessions(self, session_key)

    def _server(self, spec: ServerSpec) -> UpstreamServer:
        server = self._servers.get(spec.id)
        if server is not None and (server.spec is spec or server.spec == spec):
            return server
        if server is not None:
            server.drain()
        if self._tasks is None:
            raise RuntimeError("the pool is used before it is entered")
        breaker = ServerBreaker(spec.name, self._settings.failures_before_pause, self._settings.pause_seconds)
        max_clients = self._max_client_processes if spec.transport == "stdio" else self._max_client_sessions
        server = UpstreamServer(spec, self._tasks, breaker, self._create_session, max_clients)
        self._servers[spec.id] = server
        return server

    def _create_session(self, spec: ServerSpec, session_key: str | None, probe: bool) -> UpstreamSession:
        def handle_notification(method: str, params: Message) -> None:
            if method.endswith("/list_changed"):
                if self._on_list_changed is not None:
                    self._on_list_changed(spec, method)
            elif self._on_notification is not None:
                self._on_notification(spec, session_key, method, params)

        def handle_state(opened: bool) -> None:
            if self._on_session is not None:
                self._on_session(spec, session_key, session, opened)

        session = UpstreamSession(
            spec,
            self._reaper,
            idle_seconds=_idle_seconds(spec, session_key),
            on_state_change=handle_state,
            on_notification=handle_notification,
            capabilities=self._capabilities if session_key is not None else _of_shared_session(self._capabilities),
            probe=probe,
            max_message_bytes=self._settings.max_message_bytes,
            max_call_seconds=self._settings.max_call_seconds,
        )
        return session


def _of_shared_session(capabilities: Message | None) -> Message | None:
    """Without roots: a server of the handshake era keeps them for its session, and so for all who share it."""
    return None if capabilities is None else {name: each for name, each in capabilities.items() if name != "roots"}


def _idle_seconds(spec: ServerSpec, session_key: str | None) -> float:
    """When an unused session ends, 0 for never; those of single clients, who come and go, always do."""
    if session_key is not None:
        return spec.idle_stop_seconds or _CLIENT_SESSION_IDLE_SECONDS
    return spec.idle_stop_seconds if spec.transport == "stdio" else 0.0
