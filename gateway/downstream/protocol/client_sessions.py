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

from gateway.access.caller import Caller
from gateway.errors import LimitError

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
_RETRY_SECONDS = 60


@dataclass(slots=True, eq=False)
class LiveSession:
    """One session; `log_level` is the least severe level that its client wants to hear, None for all."""

    id: str
    caller: Caller
    session: ServerSession
    log_level: str | None = None
    closing: list[Callable[[], None]] = field(default_factory=list)

    async def tell(self, say: Callable[[ServerSession], Awaitable[None]]) -> None:
        """Say something; a client that does not read for 5 s misses it."""
        with anyio.move_on_after(_PATIENCE_SECONDS):
            try:
                await say(self.session)
            except Exception:
                logger.debug("session %s could not be told", self.id, exc_info=True)


class ClientSessions:
    """Sessions by id, from the end of their handshake to their end."""

    def __init__(self, on_closed: Callable[[str], Awaitable[None]], most_of_one: int) -> None:
        """`on_closed` is told the id of each session that has ended. A caller may have `most_of_one` at a time."""
        self._live: dict[str, LiveSession] = {}
        self._open: Counter[str] = Counter()
        self._on_closed = on_closed
        self._most_of_one = most_of_one

    @contextlib.contextmanager
    def opening(self, caller: Caller) -> Iterator[None]:
        """While a caller asks for a session. Raises LimitError where it has as many as it may have."""
        whose = caller.identity
        if self._open[whose] >= self._most_of_one:
            raise LimitError(
                f"This credential has {self._most_of_one} sessions open, as many as it may have; end some of them, or "
                "have server.max_sessions_per_caller raised.",
                "sessions",
                _RETRY_SECONDS,
            )
        self._open[whose] += 1
        try:
            yield
        finally:
            self._closed(whose)

    def begun(self, context: ServerRequestContext[Any, Any], caller: Caller) -> None:
        """The client of `context` has a session, which counts until it ends."""
        whose = caller.identity
        self._open[whose] += 1
        # The SDK hands out the connection of a session, where its end is told, in no other way.
        context.session._connection.exit_stack.callback(self._closed, whose)

    def _closed(self, whose: str) -> None:
        self._open[whose] -= 1
        if not self._open[whose]:
            del self._open[whose]

    def opened(self, context: ServerRequestContext[Any, Any], session_id: str, caller: Caller) -> LiveSession:
        """The client of `context` has finished its handshake."""
        live = self._live[session_id] = LiveSession(session_id, caller, context.session)

        async def closed() -> None:
            self._live.pop(session_id, None)
            for callback in live.closing:
                callback()
            await self._on_closed(session_id)

        context.session._connection.exit_stack.push_async_callback(closed)
        return live

    def get(self, session_id: str | None) -> LiveSession | None:
        """The session with this id."""
        return self._live.get(session_id) if session_id is not None else None
