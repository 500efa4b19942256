"""A session that is there whenever it is asked for: opened on demand, and again after it has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup, TaskStatus

from gateway.errors import UpstreamError, UpstreamUnavailableError
from gateway.upstream.server_breaker import ServerBreaker
from gateway.upstream.session import UpstreamSession

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Opening:
    """One attempt to connect, which all callers wait for."""

    done: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    session: UpstreamSession | None = None
    error: UpstreamError | None = None


class SessionSlot:
    """Keeps at most one session open. Sessions live in tasks of `tasks`, not in those of the callers."""

    def __init__(
        self,
        server: str,
        tasks: TaskGroup,
        breaker: ServerBreaker,
        make: Callable[[bool], UpstreamSession],
        on_quiet: Callable[[], None],
    ) -> None:
        """`make` builds a session that is not open yet; it is told whether to probe for the modern era. `on_quiet` is
        called whenever no session is open or opening any more.
        """
        self._server = server
        self._tasks = tasks
        self._breaker = breaker
        self._make = make
        self._on_quiet = on_quiet
        self._probe = True
        self._opening: _Opening | None = None
        self._retired = False
        self._running = 0
        self._quiet = anyio.Event()
        self._quiet.set()
        self.current: UpstreamSession | None = None
        """The session opened last, which may have ended."""
        self.connections = 0
        """How many sessions have been opened."""
        self.users = 0
        """How many callers use the link now."""
        self.last_used = time.monotonic()
        """When the last of them was done, by `time.monotonic`."""
        self.failing = False
        """Whether the last call had no answer."""

    @property
    def connecting(self) -> bool:
        return self._opening is not None

    @property
    def connected(self) -> bool:
        return self.current is not None and self.current.usable

    @property
    def used(self) -> bool:
        """Whether a caller is at it now, or something is subscribed through its session."""
        return self.users > 0 or (self.connected and self.current is not None and self.current.subscribed)

    @property
    def quiet(self) -> bool:
        """Whether no session is open, opening or on its way to the end."""
        return self._opening is None and self._running == 0

    async def session(self) -> UpstreamSession:
        """A session that takes requests, opened where there is none; callers at the same time share one attempt.

        Raises UpstreamError where it cannot be opened.
        """
        if self.current is not None and self.current.usable:
            return self.current
        if self._opening is None:
            self._opening = _Opening()
            self._tasks.start_soon(self._open, self._opening)
        opening = self._opening
        await opening.done.wait()
        if opening.session is not None:
            return opening.session
        raise (opening.error or self._removed()).with_traceback(None)

    def retire(self) -> None:
        """End the session once its calls are done, and open no other."""
        self._retired = True
        self.renew()

    def renew(self) -> None:
        """End the session once its calls are done; the next caller gets a new one."""
        if self.current is not None:
            self.current.retire()

    async def close(self) -> None:
        """End the session now, and return when it has ended with its process."""
        self._retired = True
        if self._opening is not None:
            self._opening.scope.cancel()
            await self._opening.done.wait()
        if self.current is not None:
            self.current.close()
        await self._quiet.wait()

    async def _open(self, opening: _Opening) -> None:
        try:
            with opening.scope:
                await self._breaker.wait_to_reconnect()
                if self._retired:
                    raise self._removed()
                opening.session = await self._started()
        except UpstreamError as error:
            self._probe = True
            opening.error = error
            self._breaker.record_failure(error)
        finally:
            self._opening = None
            opening.done.set()
            self._told_if_quiet()

    async def _started(self) -> UpstreamSession:
        session = self._make(self._probe)
        try:
            await self._tasks.start(self._run, session)
        except UpstreamError:
            if not session.ended_in_probe:
                raise
            session = self._make(False)
            await self._tasks.start(self._run, session)
        self._probe = session.info.era == "modern"
        self.connections += 1
        if self._retired:
            session.close()
        return session

    async def _run(self, session: UpstreamSession, *, task_status: TaskStatus[None]) -> None:
        self.current = session
        self._running += 1
        if self._running == 1:
            self._quiet = anyio.Event()
        try:
            await session.run(task_status=task_status)
        except UpstreamError:
            raise
        except Exception:
            logger.exception("the session with server %s broke down", self._server)
            session.error = UpstreamUnavailableError(
                self._server, f"The session with server {self._server} broke down; the gateway's log says why."
            )
            if not session.connected:
                raise session.error from None
        finally:
            self._running -= 1
            if self._running == 0:
                self._quiet.set()
            self._told_if_quiet()
        if session.error is not None:
            self._breaker.record_failure(session.error)

    def _told_if_quiet(self) -> None:
        if self.quiet:
            self._on_quiet()

    def _removed(self) -> UpstreamUnavailableError:
        return UpstreamUnavailableError(self._server, f"Server {self._server} was changed or removed; try again.")
