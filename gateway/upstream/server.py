"""One upstream server as the pool keeps it: its sessions, its limits, and how it does."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Literal, TypeVar

import anyio
from anyio.abc import TaskGroup

from gateway.errors import (
    RequestNotSentError,
    UpstreamBusyError,
    UpstreamDeadlineError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReplyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.server_breaker import ServerBreaker
from gateway.upstream.session import UpstreamSession
from gateway.upstream.session_pool import SessionPool
from gateway.upstream.session_slot import SessionSlot
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerStatus

T = TypeVar("T")

Make = Callable[[ServerSpec, "str | None", bool], UpstreamSession]
"""Builds the session for a spec and session key; the last argument says whether to probe for the modern era."""

Overdue = Callable[[float, float], bool]
"""Whether a timeout says that the server is ill: told when the request was sent and how many seconds it was given."""

MOST_PROCESSES = 64
"""How many clients may have a process of a stdio server for themselves."""

MOST_SESSIONS = 1_000
"""How many clients may have a session of their own with a server that is reached over HTTP."""

_FAIR_SHARE = 0.5
# What is sent with no time left does its work for nobody.
_KEPT_FOR_WORK = 0.1


class Server:
    """The sessions with the server of one spec. A changed spec is another `Server`."""

    def __init__(self, spec: ServerSpec, tasks: TaskGroup, breaker: ServerBreaker, make: Make) -> None:
        self.spec = spec
        self._tasks = tasks
        self._breaker = breaker
        self._make = make
        self._links = SessionPool(spec.name, MOST_PROCESSES if spec.transport == "stdio" else MOST_SESSIONS, self._link)
        self._slots = anyio.Semaphore(spec.max_calls)
        self._calls = 0
        self._replied_at = -math.inf
        self._info: SessionInfo | None = None
        self._last_seen: float | None = None
        self._latency_ms: float | None = None
        self._last_error: str | None = None

    @property
    def info(self) -> SessionInfo | None:
        """What the server said of itself when it was last connected."""
        return self._info

    async def use(
        self,
        act: Callable[[UpstreamSession, float], Awaitable[T]],
        session_key: str | None,
        seconds: float,
        patience: float,
    ) -> T:
        """Run `act(session, seconds left)` with a session, a call slot, and `seconds` in all.

        A timeout counts against the server only where it had most of its `patience`, in seconds, and answered nobody
        else meanwhile: a hasty caller or a slow tool says nothing about a server. What was certainly not taken by the
        server is sent once more.
        Raises UpstreamBusyError where no slot comes free in time, and every UpstreamError.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        key = session_key if self.spec.session == "per_client" else None

        def overdue(sent_at: float, given: float) -> bool:
            return given >= patience * _FAIR_SHARE and self._replied_at < sent_at

        probing = self._breaker.admit()
        if math.isinf(seconds):
            # What listens for ever is no call: it must neither keep a slot from calls nor be the try they all wait for.
            if probing:
                self._breaker.end_probe()
            return await self._try(act, key, deadline, overdue)
        try:
            async with self._slot(deadline - seconds * _KEPT_FOR_WORK):
                self._calls += 1
                try:
                    try:
                        result = await self._try(act, key, deadline, overdue)
                    except RequestNotSentError:
                        result = await self._try(act, key, deadline, overdue)
                except UpstreamReplyError:
                    self._replied_at = asyncio.get_running_loop().time()
                    raise
                finally:
                    self._calls -= 1
                self._replied_at = asyncio.get_running_loop().time()
                return result
        finally:
            if probing:
                self._breaker.end_probe()

    async def check(self, seconds: float) -> None:
        """Ping the server within `seconds`, connecting it where it is not, and keep the round trip.

        A server that does one thing at a time answers no ping while it works, so silence counts against it only where
        no call was under way; that of a call then tells whether it is dead. Raises UpstreamError.
        """
        deadline = asyncio.get_running_loop().time() + seconds

        async def measure(session: UpstreamSession, left: float) -> None:
            self._latency_ms = await session.ping(timeout=left)

        def overdue(sent_at: float, given: float) -> bool:
            return not self._calls and self._replied_at < sent_at

        probing = self._breaker.admit()
        try:
            try:
                await self._try(measure, None, deadline, overdue)
            except RequestNotSentError:
                await self._try(measure, None, deadline, overdue)
        finally:
            if probing:
                self._breaker.end_probe()

    def status(self) -> ServerStatus:
        return ServerStatus(
            state=self._state(),
            last_seen=None if self._last_seen is None else datetime.fromtimestamp(self._last_seen, timezone.utc),
            latency_ms=self._latency_ms,
            restarts=self._links.restarts,
            last_error=self._last_error,
            stderr=self._links.stderr,
        )

    def retire(self) -> None:
        """Let calls in flight finish, then end all sessions."""
        self._links.retire()

    async def close(self) -> None:
        """End all sessions now."""
        await self._links.close()

    async def release(self, session_key: str) -> None:
        """End the session that belongs to `session_key` alone."""
        await self._links.release(session_key)

    async def _try(
        self,
        act: Callable[[UpstreamSession, float], Awaitable[T]],
        key: str | None,
        deadline: float,
        overdue: Overdue,
    ) -> T:
        link = self._links.take(key)
        try:
            session = await self._session(link, deadline)
            sent_at = asyncio.get_running_loop().time()
            left = max(0.0, deadline - sent_at)
            try:
                result = await act(session, left)
            except UpstreamReplyError:
                self._answered(link)
                raise
            except (RequestNotSentError, UpstreamDeadlineError):
                raise
            except UpstreamTimeoutError as error:
                if overdue(sent_at, left):
                    self._failed(error, link)
                raise
            except (UpstreamUnavailableError, UpstreamProtocolError) as error:
                # A session that has ended was counted when it ended, whatever number of calls it took along.
                if session.usable:
                    self._failed(error, link)
                    session.retire()
                self._last_error = error.message
                raise
            self._answered(link)
            return result
        finally:
            self._links.give_back(key, link)

    async def _session(self, link: SessionSlot, deadline: float) -> UpstreamSession:
        if link.connected and link.current is not None:
            return link.current
        with anyio.CancelScope(deadline=deadline):
            try:
                session = await link.session()
            except UpstreamError as error:
                self._last_error = error.message
                raise
            self._info = session.info
            self._last_seen = time.time()
            self._last_error = None
            return session
        raise UpstreamTimeoutError(
            self.spec.name, f"Server {self.spec.name} was not connected in the time for the call; try again."
        )

    def _link(self, key: str | None, on_quiet: Callable[[], None]) -> SessionSlot:
        return SessionSlot(
            self.spec.name, self._tasks, self._breaker, lambda probe: self._make(self.spec, key, probe), on_quiet
        )

    @asynccontextmanager
    async def _slot(self, deadline: float) -> AsyncIterator[None]:
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.CancelScope(deadline=deadline) as waiting:
                await self._slots.acquire()
            if waiting.cancelled_caught:
                raise UpstreamBusyError(
                    self.spec.name,
                    f"Server {self.spec.name} is busy with {self.spec.max_calls} calls, as many as it may have; "
                    "try again later.",
                ) from None
        try:
            yield
        finally:
            self._slots.release()

    def _answered(self, link: SessionSlot) -> None:
        link.failing = False
        self._breaker.record_success()
        self._last_seen = time.time()
        self._last_error = None

    def _failed(self, error: UpstreamError, link: SessionSlot) -> None:
        self._last_error = error.message
        link.failing = True
        self._breaker.record_failure(error)
        if self._breaker.is_open:
            # Whatever ails it may be gone with a new connection or process; what still answers keeps its own.
            for each in self._links:
                if each.failing:
                    each.failing = False
                    each.renew()

    def _state(self) -> Literal["idle", "connecting", "connected", "failing", "left_alone"]:
        if self._breaker.is_open:
            return "left_alone"
        if any(link.connecting for link in self._links):
            return "connecting"
        if self._last_error is not None:
            return "failing"
        return "connected" if any(link.connected for link in self._links) else "idle"
