"""The handshake sessions that are open, for what is to be said to their clients unasked."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged

from gateway.access.caller import Caller
from gateway.downstream.changes.change_listener import ChangeListener, ListChange
from gateway.errors import LimitError

logger = logging.getLogger(__name__)

_NOTIFY_SECONDS = 5.0
_RETRY_SECONDS = 60

_LIST_CHANGED: dict[type[ListChange], Callable[[ServerSession], Awaitable[None]]] = {
    ToolsListChanged: lambda session: session.send_tool_list_changed(),
    PromptsListChanged: lambda session: session.send_prompt_list_changed(),
    ResourcesListChanged: lambda session: session.send_resource_list_changed(),
}


class CancellableRequest(Protocol):
    """A request under way."""

    def cancel(self) -> None: ...


@dataclass(slots=True, eq=False)
class LiveSession:
    """One session; `log_level` is the least severe level that its client wants to hear, None for all.

    `capabilities` are what the client says it can do.
    """

    id: str
    caller: Caller
    session: ServerSession
    log_level: str | None = None
    on_closed: list[Callable[[], None]] = field(default_factory=list)
    capabilities: Mapping[str, Any] = field(init=False)
    _running: dict[Any, CancellableRequest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.capabilities = declared_capabilities(self.session)

    @contextlib.contextmanager
    def running_as(self, request_id: str | int, request: CancellableRequest) -> Iterator[None]:
        """While a request has this id, by which its client may cancel it."""
        self._running[request_id] = request
        try:
            yield
        finally:
            if self._running.get(request_id) is request:
                del self._running[request_id]

    def cancel(self, request_id: object) -> bool:
        """The client wants no answer to the request any more; False where there is none of that id."""
        running = self._running.get(request_id) if isinstance(request_id, str | int) else None
        if running is not None:
            running.cancel()
        return running is not None

    def cancel_all(self) -> None:
        """Have nothing come of what is under way."""
        for running in list(self._running.values()):
            running.cancel()

    async def notify(self, send: Callable[[ServerSession], Awaitable[None]]) -> None:
        """Have `send` say something; a client that does not read for 5 s misses it."""
        with anyio.move_on_after(_NOTIFY_SECONDS):
            try:
                await send(self.session)
            except Exception:
                logger.debug("session %s could not be notified", self.id, exc_info=True)

    def listener(self) -> ChangeListener:
        """The session as one who is notified of changes of its caller's lists."""

        async def notify(change: ListChange) -> None:
            await self.notify(_LIST_CHANGED[type(change)])

        return ChangeListener(lambda: self.caller, notify, lambda: None, is_stream=False)


def declared_capabilities(session: ServerSession) -> dict[str, Any]:
    """What the client of `session` says it can do, as it said it."""
    declared = session.client_capabilities
    return {} if declared is None else declared.model_dump(mode="json", by_alias=True, exclude_none=True)


class ClientSessions:
    """Sessions by id, from the end of their handshake to their end."""

    def __init__(self, on_closed: Callable[[str], Awaitable[None]], max_per_caller: int) -> None:
        """`on_closed` is called with the id of each session that has ended."""
        self._live: dict[str, LiveSession] = {}
        self._counts: Counter[str] = Counter()
        self._on_closed = on_closed
        self._max_per_caller = max_per_caller
        self._changed_subscribers: list[Callable[[str], None]] = []
        self._cancelled_subscribers: list[Callable[[str, str | int], None]] = []
        self.opened = 0
        """How many there have been."""

    def subscribe(self, on_changed: Callable[[str], None], on_cancelled: Callable[[str, str | int], None]) -> None:
        """Call `on_changed(session id)` when a session has another caller or log level, or has ended, and
        `on_cancelled(session id, request id)` for requests that are not known here and their clients do not want.
        """
        self._changed_subscribers.append(on_changed)
        self._cancelled_subscribers.append(on_cancelled)

    def notify_changed(self, live: LiveSession) -> None:
        """Something else than before is to be known of a session."""
        for callback in self._changed_subscribers:
            callback(live.id)

    def cancel(self, live: LiveSession, request_id: object) -> None:
        """The client of a session wants no answer to the request any more."""
        if not live.cancel(request_id) and isinstance(request_id, str | int):
            for callback in self._cancelled_subscribers:
                callback(live.id, request_id)

    @contextlib.contextmanager
    def opening(self, caller: Caller) -> Iterator[None]:
        """While a caller asks for a session. Raises LimitError where it has as many as it may have."""
        identity = caller.identity
        if self._counts[identity] >= self._max_per_caller:
            raise LimitError(
                f"This credential has {self._max_per_caller} sessions open, as many as it may have; end some of them, "
                "or have server.max_sessions_per_caller raised.",
                "sessions",
                _RETRY_SECONDS,
            )
        self._counts[identity] += 1
        try:
            yield
        finally:
            self._release(identity)

    def count(self, context: ServerRequestContext[Any, Any], caller: Caller) -> None:
        """The client of `context` has a session, which counts until it ends."""
        identity = caller.identity
        self._counts[identity] += 1
        # The SDK hands out the connection of a session, where its end is told, in no other way.
        context.session._connection.exit_stack.callback(self._release, identity)

    def add(self, context: ServerRequestContext[Any, Any], session_id: str, caller: Caller) -> LiveSession:
        """The client of `context` has finished its handshake."""
        live = self._live[session_id] = LiveSession(session_id, caller, context.session)
        self.opened += 1

        async def close() -> None:
            self._live.pop(session_id, None)
            live.cancel_all()
            for callback in live.on_closed:
                callback()
            self.notify_changed(live)
            await self._on_closed(session_id)

        context.session._connection.exit_stack.push_async_callback(close)
        return live

    def __len__(self) -> int:
        return len(self._live)

    def get(self, session_id: str | None) -> LiveSession | None:
        """The session with this id."""
        return self._live.get(session_id) if session_id is not None else None

    def _release(self, identity: str) -> None:
        self._counts[identity] -= 1
        if not self._counts[identity]:
            del self._counts[identity]
