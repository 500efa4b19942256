"""The handshake sessions that are open, for what is to be said to their clients unasked."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(slots=True, eq=False)
class LiveSession:
    """One session; `log_level` is the least severe level that its client wants to hear, None for all."""

    id: str
    caller: Caller
    session: ServerSession
    log_level: str | None = None
    on_closed: list[Callable[[], None]] = field(default_factory=list)

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


class ClientSessions:
    """Sessions by id, from the end of their handshake to their end."""

    def __init__(self, on_closed: Callable[[str], Awaitable[None]], max_per_caller: int) -> None:
        """`on_closed` is called with the id of each session that has ended."""
        self._live: dict[str, LiveSession] = {}
        self._counts: Counter[str] = Counter()
        self._on_closed = on_closed
        self._max_per_caller = max_per_caller

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

        async def close() -> None:
            self._live.pop(session_id, None)
            for callback in live.on_closed:
                callback()
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
