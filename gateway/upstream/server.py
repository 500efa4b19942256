"""One upstream server as the pool keeps it: its sessions, its limits, and how it does."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Literal, TypeVar

import anyio
from anyio.abc import TaskGroup

from gateway.errors import (
    UpstreamBusyError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReplyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.upstream.breaker import Breaker
from gateway.upstream.link import Link
from gateway.upstream.negotiation import SessionInfo
from gateway.upstream.session import UpstreamSession
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerStatus
from gateway.upstream.wire import UnsentError

T = TypeVar("T")

Make = Callable[[ServerSpec, "str | None", bool], UpstreamSession]
"""Builds the session for a spec and session key; the last argument says whether to probe for the modern era."""


class Server:
    """The sessions with the server of one spec. A changed spec is another `Server`."""

    def __init__(self, spec: ServerSpec, tasks: TaskGroup, breaker: Breaker, make: Make) -> None:
        self.spec = spec
        self._tasks = tasks
        self._breaker = breaker
        self._make = make
        self._links: dict[str | None, Link] = {}
        self._slots = anyio.Semaphore(spec.max_calls)
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

        A timeout counts against the server only where it was given its `patience`, in seconds: a hasty caller says
        nothing about a server. What was certainly not taken by the server is sent once more.
        Raises UpstreamBusyError where no slot comes free in time, and every UpstreamError.
        """
        deadline = anyio.current_time() + seconds
        trying = self._breaker.admit()
        if math.isinf(seconds):
            # What listens for ever is no call: it must neither keep a slot from calls nor be the try they all wait for.
            if trying:
                self._breaker.conclude()
            return await self._try(act, session_key, deadline, patient=False)
        try:
            async with self._slot(deadline):
                try:
                    return await self._try(act, session_key, deadline, seconds >= patience)
                except UnsentError:
                    return await self._try(act, session_key, deadline, seconds >= patience)
        finally:
            if trying:
                self._breaker.conclude()

    async def measure(self, session: UpstreamSession, seconds: float) -> None:
        """Ping through `session` and keep the round trip."""
        self._latency_ms = await session.ping(timeout=seconds)

    def status(self) -> ServerStatus:
        return ServerStatus(
            state=self._state(),
            last_seen=None if self._last_seen is None else datetime.fromtimestamp(self._last_seen, timezone.utc),
            latency_ms=self._latency_ms,
            restarts=sum(max(0, link.connections - 1) for link in self._links.values()),
            last_error=self._last_error,
            stderr="".join(link.current.stderr for link in self._links.values() if link.current is not None),
        )

    def retire(self) -> None:
        """Let calls in flight finish, then end all sessions."""
        for link in self._links.values():
            link.retire()

    async def close(self) -> None:
        """End all sessions now."""
        async with anyio.create_task_group() as tasks:
            for link in self._links.values():
                tasks.start_soon(link.close)

    async def release(self, session_key: str) -> None:
        """End the session that belongs to `session_key` alone."""
        link = self._links.pop(session_key, None)
        if link is not None:
            await link.close()

    async def _try(
        self,
        act: Callable[[UpstreamSession, float], Awaitable[T]],
        session_key: str | None,
        deadline: float,
        patient: bool,
    ) -> T:
        session = await self._session(session_key, deadline)
        try:
            result = await act(session, max(0.0, deadline - anyio.current_time()))
        except UpstreamReplyError:
            self._answered()
            raise
        except UnsentError:
            raise
        except UpstreamTimeoutError as error:
            if patient:
                self._failed(error)
            raise
        except (UpstreamUnavailableError, UpstreamProtocolError) as error:
            # A session that has ended was counted when it ended, whatever number of calls it took along.
            if session.usable:
                self._failed(error)
                session.retire()
            self._last_error = error.message
            raise
        self._answered()
        return result

    async def _session(self, session_key: str | None, deadline: float) -> UpstreamSession:
        key = session_key if self.spec.session == "per_client" else None
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = Link(
                self.spec.name, self._tasks, self._breaker, lambda probe: self._make(self.spec, key, probe)
            )
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

    def _answered(self) -> None:
        self._breaker.succeed()
        self._last_seen = time.time()
        self._last_error = None

    def _failed(self, error: UpstreamError) -> None:
        self._last_error = error.message
        self._breaker.fail(error)
        if self._breaker.left_alone:
            # Whatever ails it may be gone with a new connection or process.
            for link in self._links.values():
                link.renew()

    def _state(self) -> Literal["idle", "connecting", "connected", "failing", "left_alone"]:
        if self._breaker.left_alone:
            return "left_alone"
        links = self._links.values()
        if any(link.connecting for link in links):
            return "connecting"
        if self._last_error is not None:
            return "failing"
        return "connected" if any(link.connected for link in links) else "idle"
