"""A session that is there whenever it is asked for: opened on demand, and again after it has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup, TaskStatus

from gateway.errors import UpstreamError, UpstreamHttpError, UpstreamUnavailableError
from gateway.upstream.credentials.personal import CurrentCredential, PersonCredential
from gateway.upstream.server_breaker import ServerBreaker
from gateway.upstream.sessions.session import UpstreamSession

logger = logging.getLogger(__name__)

REFUSALS = (401, 403)
"""HTTP statuses by which a server says that it does not let in who asks."""


@dataclass(slots=True, eq=False)
class _ConnectAttempt:
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
        create_session: Callable[[bool, CurrentCredential | None], UpstreamSession],
        on_empty: Callable[[], None],
        *,
        is_personal: bool = False,
    ) -> None:
        """`create_session` builds a session that is not open yet; it is told whether to probe for the modern era and,
        where the session is of one person, what lets them in. `on_empty` is called whenever no session is open or
        opening any more. `is_personal`: the server lets each person in as who they are.
        """
        self._server = server
        self._tasks = tasks
        self._breaker = breaker
        self._create_session = create_session
        self._on_empty = on_empty
        self._is_personal = is_personal
        self._probe = True
        self._person: CurrentCredential | None = None
        self._attempt: _ConnectAttempt | None = None
        self._closing = False
        self._session_count = 0
        self._ended = anyio.Event()
        self._ended.set()
        self.current: UpstreamSession | None = None
        """The session opened last, which may have ended."""
        self.connections = 0
        """How many sessions have been opened."""
        self.users = 0
        """How many callers use the slot now."""
        self.last_used = time.monotonic()
        """When the last of them was done, by `time.monotonic`."""
        self.failing = False
        """Whether the last call had no answer."""

    def bring(self, credential: PersonCredential) -> None:
        """What lets in the person whose session it is, from now on."""
        if self._person is None:
            self._person = CurrentCredential(credential)
        self._person.value = credential

    @property
    def person(self) -> str | None:
        """Whose session it is, where it is of one person."""
        return None if self._person is None else self._person.value.session

    def is_personal_refusal(self, error: UpstreamError) -> bool:
        """Whether the server only does not let in who asks, while others may be: it is well."""
        return self._is_personal and isinstance(error, UpstreamHttpError) and error.status in REFUSALS

    @property
    def connecting(self) -> bool:
        return self._attempt is not None

    @property
    def connected(self) -> bool:
        return self.current is not None and self.current.usable

    @property
    def in_use(self) -> bool:
        """Whether a caller is at it now, or something is subscribed through its session."""
        return self.users > 0 or (self.connected and self.current is not None and self.current.has_subscriptions)

    @property
    def is_empty(self) -> bool:
        """Whether no session is open, opening or on its way to the end."""
        return self._attempt is None and self._session_count == 0

    async def get_session(self) -> UpstreamSession:
        """A session that takes requests, opened where there is none; callers at the same time share one attempt.

        Raises UpstreamError where it cannot be opened.
        """
        if self.current is not None and self.current.usable:
            return self.current
        if self._attempt is None:
            self._attempt = _ConnectAttempt()
            self._tasks.start_soon(self._connect, self._attempt)
        attempt = self._attempt
        await attempt.done.wait()
        if attempt.session is not None:
            return attempt.session
        raise (attempt.error or self._removed_error()).with_traceback(None)

    def drain(self) -> None:
        """End the session once its calls are done, and open no other."""
        self._closing = True
        self.recycle()

    def recycle(self) -> None:
        """End the session once its calls are done; the next caller gets a new one."""
        if self.current is not None:
            self.current.drain()

    async def close(self) -> None:
        """End the session now, and return when it has ended with its process."""
        self._closing = True
        if self._attempt is not None:
            self._attempt.scope.cancel()
            await self._attempt.done.wait()
        if self.current is not None:
            self.current.close()
        await self._ended.wait()

    async def _connect(self, attempt: _ConnectAttempt) -> None:
        try:
            with attempt.scope:
                await self._breaker.wait_to_reconnect()
                if self._closing:
                    raise self._removed_error()
                attempt.session = await self._start_session()
        except UpstreamError as error:
            self._probe = True
            attempt.error = error
            if not self.is_personal_refusal(error):
                self._breaker.record_failure(error)
        finally:
            self._attempt = None
            attempt.done.set()
            self._notify_if_empty()

    async def _start_session(self) -> UpstreamSession:
        session = self._create_session(self._probe, self._person)
        try:
            await self._tasks.start(self._run, session)
        except UpstreamError:
            if not session.ended_in_probe:
                raise
            session = self._create_session(False, self._person)
            await self._tasks.start(self._run, session)
        self._probe = session.info.era == "modern"
        self.connections += 1
        if self._closing:
            session.close()
        return session

    async def _run(self, session: UpstreamSession, *, task_status: TaskStatus[None]) -> None:
        self.current = session
        self._session_count += 1
        if self._session_count == 1:
            self._ended = anyio.Event()
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
            self._session_count -= 1
            if self._session_count == 0:
                self._ended.set()
            self._notify_if_empty()
        if session.error is not None and not self.is_personal_refusal(session.error):
            self._breaker.record_failure(session.error)

    def _notify_if_empty(self) -> None:
        if self.is_empty:
            self._on_empty()

    def _removed_error(self) -> UpstreamUnavailableError:
        return UpstreamUnavailableError(self._server, f"Server {self._server} was changed or removed; try again.")
