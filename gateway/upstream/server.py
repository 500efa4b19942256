"""One upstream server as the pool keeps it: its sessions, its limits, and how it does."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from gateway.errors import (
    ConnectionNeededError,
    RequestNotSentError,
    SessionLostError,
    UpstreamDeadlineError,
    UpstreamError,
    UpstreamHttpError,
    UpstreamProtocolError,
    UpstreamReplyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.json_codec import Message
from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.failure_line import last_line
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.server_breaker import ServerBreaker
from gateway.upstream.sessions.call_slots import CallSlots
from gateway.upstream.sessions.session import UpstreamSession
from gateway.upstream.sessions.session_pool import SessionPool, session_key
from gateway.upstream.sessions.session_slot import REFUSALS, SessionSlot
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerState, ServerStatus

T = TypeVar("T")

SessionFactory = Callable[[ServerSpec, "str | None", bool], UpstreamSession]
"""Builds the session for a spec and session key; the last argument says whether to probe for the modern era."""

_TimeoutIsFailure = Callable[[float, float], bool]
"""Whether a timeout says that the server is ill: given when the request was sent and how many seconds it had."""

_FAIR_SHARE = 0.5
# What is sent with no time left does its work for nobody.
_RESERVED_SHARE = 0.1


class UpstreamServer:
    """The sessions with the server of one spec. A changed spec is another `UpstreamServer`."""

    def __init__(
        self,
        spec: ServerSpec,
        tasks: TaskGroup,
        breaker: ServerBreaker,
        create_session: SessionFactory,
        max_clients: int,
    ) -> None:
        """At most `max_clients` have a session of their own, where `spec` gives them one."""
        self.spec = spec
        self._tasks = tasks
        self._breaker = breaker
        self._create_session = create_session
        self._sessions = SessionPool(spec.name, max_clients, self._create_slot)
        self._call_slots = CallSlots(spec.name, spec.max_calls)
        self._calls_in_flight = 0
        self._replied_at = -math.inf
        self._info: SessionInfo | None = None
        self._last_seen: float | None = None
        self._latency_ms: float | None = None
        self._last_error: str | None = None
        self._ignores_pings = False
        self.listing_notes: dict[str, str] = {}
        """By list method what was odd about the last listing."""

    @property
    def info(self) -> SessionInfo | None:
        """What the server said of itself when it was last connected."""
        return self._info

    @property
    def calls_in_flight(self) -> int:
        """How many calls the server has now."""
        return self._calls_in_flight

    @property
    def calls_waiting(self) -> int:
        """How many wait for one of its slots."""
        return self._call_slots.waiting

    @property
    def is_left_alone(self) -> bool:
        """Whether it failed so often that it is not tried for a while."""
        return self._breaker.is_open

    async def request(self, request: UpstreamRequest) -> Message:
        """Send a request and return its result untouched. Raises every UpstreamError."""

        if (request.credential is None) != (self.spec.personal is None):
            # Whatever it is, nobody is let in here as somebody else.
            raise ConnectionNeededError(self.spec.name, self.spec.id)

        async def send(session: UpstreamSession, left: float) -> Message:
            return await session.request(request, first_timeout=left)

        call_timeout = self.spec.call_timeout
        seconds = call_timeout if request.timeout is None else request.timeout
        return await self._run(send, self._key(request), seconds, call_timeout, credential=request.credential)

    async def list_all(self, method: str, key: str, credential: PersonCredential | None = None) -> list[Any]:
        """Every item under `key` of a list method, within the list timeout of the spec, to which the start of a stdio
        server adds its own; by the `credential` of a person, or that of the server. Raises every UpstreamError.
        """
        limit = self.spec.list_timeout

        async def collect(session: UpstreamSession, left: float) -> list[Any]:
            items = await session.list_all(method, key, timeout=min(left, limit))
            self.listing_notes[method] = session.listing_notes.get(method, "")
            return items

        starts = self.spec.transport == "stdio" and not any(slot.connected for slot in self._sessions)
        seconds = limit + self.spec.start_timeout if starts else limit
        whose = None if credential is None else credential.session
        return await self._run(collect, whose, seconds, limit, harmless=True, credential=credential)

    async def _run(
        self,
        act: Callable[[UpstreamSession, float], Awaitable[T]],
        key: str | None,
        seconds: float,
        usual_seconds: float,
        *,
        harmless: bool = False,
        credential: PersonCredential | None = None,
    ) -> T:
        """Run `act(session, seconds left)` with a session, a call slot, and `seconds` in all.

        A timeout counts against the server only where it had most of `usual_seconds` and answered nobody else
        meanwhile: a hasty caller or a slow tool says nothing about a server. What was certainly not taken by the server
        is sent once more.
        Raises UpstreamBusyError where no slot comes free in time, and every UpstreamError.
        """
        deadline = asyncio.get_running_loop().time() + seconds

        def timeout_is_failure(sent_at: float, given: float) -> bool:
            return given >= usual_seconds * _FAIR_SHARE and self._replied_at < sent_at

        probing = self._breaker.admit()
        if math.isinf(seconds):
            # What listens for ever is no call: it must neither keep a slot from calls nor be the try they all wait for.
            if probing:
                self._breaker.end_probe()
            return await self._try(act, key, deadline, timeout_is_failure, credential)
        try:
            async with self._call_slots.slot(deadline - seconds * _RESERVED_SHARE, is_listing=harmless):
                self._calls_in_flight += 1
                try:
                    result = await self._try_twice(
                        act, key, deadline, timeout_is_failure, harmless=harmless, credential=credential
                    )
                except UpstreamReplyError:
                    self._replied_at = asyncio.get_running_loop().time()
                    raise
                finally:
                    self._calls_in_flight -= 1
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
        started = asyncio.get_running_loop().time()
        deadline = started + seconds

        async def measure(session: UpstreamSession, left: float) -> None:
            self._latency_ms = await session.ping(timeout=left)

        def timeout_is_failure(sent_at: float, given: float) -> bool:
            return not self._calls_in_flight and self._replied_at < sent_at

        probing = self._breaker.admit()
        try:
            await self._try_twice(measure, None, deadline, timeout_is_failure, harmless=True)
        except UpstreamHttpError as error:
            if self.spec.personal is None or error.status not in REFUSALS:
                raise
            # It answers, and lets in nobody without a credential of theirs.
            self._latency_ms = (asyncio.get_running_loop().time() - started) * 1000
            self._last_seen, self._last_error = time.time(), None
            self._breaker.record_success()
        finally:
            if probing:
                self._breaker.end_probe()

    def status(self) -> ServerStatus:
        return ServerStatus(
            state=self._state(),
            last_seen=None if self._last_seen is None else datetime.fromtimestamp(self._last_seen, timezone.utc),
            latency_ms=self._latency_ms,
            restarts=self._sessions.restarts,
            last_error=self._last_error,
            stderr=self._sessions.stderr,
            startup_line=next((last_line(each.stderr) for each in self._starting_sessions()), ""),
        )

    def drain(self) -> None:
        """Let calls in flight finish, then end all sessions."""
        self._sessions.drain()

    async def close(self) -> None:
        """End all sessions now."""
        await self._sessions.close()

    async def close_session(self, key: str) -> None:
        """End the sessions that belong to `key` alone, a client or a person."""
        await self._sessions.close_session(key)

    @property
    def persons(self) -> set[str]:
        """The persons who have sessions of their own, as their credentials name these."""
        return self._sessions.persons

    async def _try_twice(
        self,
        act: Callable[[UpstreamSession, float], Awaitable[T]],
        key: str | None,
        deadline: float,
        timeout_is_failure: _TimeoutIsFailure,
        *,
        harmless: bool,
        credential: PersonCredential | None = None,
    ) -> T:
        """Send once more what the server certainly did not take, as when it had just ended or forgotten its session,
        and what is `harmless` even if it was taken.
        """
        try:
            return await self._try(act, key, deadline, timeout_is_failure, credential)
        except RequestNotSentError:
            return await self._try(act, key, deadline, timeout_is_failure, credential)
        except SessionLostError as error:
            lost = error
        try:
            if not await self._may_resend(lost, key, deadline) and not harmless:
                raise lost.refusal
            return await self._try(act, key, deadline, timeout_is_failure, credential)
        except SessionLostError as again:
            # It loses every session at once: not even a new one is of use.
            self._last_error = again.message
            self._breaker.record_failure(again)
            raise

    async def _try(
        self,
        act: Callable[[UpstreamSession, float], Awaitable[T]],
        key: str | None,
        deadline: float,
        timeout_is_failure: _TimeoutIsFailure,
        credential: PersonCredential | None = None,
    ) -> T:
        slot = self._sessions.acquire(key)
        if credential is not None:
            slot.bring(credential)
        session: UpstreamSession | None = None
        try:
            session = await self._get_session(slot, deadline)
            sent_at = asyncio.get_running_loop().time()
            left = max(0.0, deadline - sent_at)
            try:
                result = await act(session, left)
            except UpstreamReplyError:
                self._record_success(slot)
                raise
            except (RequestNotSentError, UpstreamDeadlineError):
                raise
            except UpstreamTimeoutError as error:
                if timeout_is_failure(sent_at, left):
                    self._record_failure(error, slot)
                raise
            except (UpstreamUnavailableError, UpstreamProtocolError) as error:
                if isinstance(error, UpstreamHttpError) and error.session_lives:
                    # It is about this request: the server answers others.
                    self._record_success(slot)
                    raise
                # A session that has ended was counted when it ended, whatever number of calls it took along.
                if session.usable:
                    self._record_failure(error, slot)
                    session.drain()
                self._last_error = error.message
                raise
            self._record_success(slot)
            return result
        finally:
            if session is not None:
                self._ignores_pings = self._ignores_pings or session.ignores_pings
            self._sessions.release(key, slot)

    async def _may_resend(self, lost: SessionLostError, key: str | None, deadline: float) -> bool:
        """Whether a request goes into a new session after it was refused in one that was `lost`."""
        if not lost.by_ping:
            return lost.resendable
        slot = self._sessions.acquire(key)
        try:
            session = await self._get_session(slot, deadline)
            # A session that was just opened cannot be lost: a server that refuses pings there always does.
            self._ignores_pings = await session.learn_of_pings()
        finally:
            self._sessions.release(key, slot)
        return lost.resendable and not self._ignores_pings

    async def _get_session(self, slot: SessionSlot, deadline: float) -> UpstreamSession:
        if slot.connected and slot.current is not None:
            return slot.current
        with anyio.CancelScope(deadline=deadline):
            try:
                session = await slot.get_session()
            except UpstreamError as error:
                if not slot.is_personal_refusal(error):
                    self._last_error = error.message
                raise
            if self._ignores_pings:
                session.ignore_pings()
            self._info = session.info
            self._last_seen = time.time()
            self._last_error = None
            return session
        name = self.spec.name
        if slot.current is not None and slot.current.starting:
            said = last_line(slot.current.stderr)
            raise UpstreamTimeoutError(
                name, f"Server {name} is still starting{f' ({said})' if said else ''}; try again in a moment."
            )
        raise UpstreamTimeoutError(name, f"Server {name} was not connected in the time for the call; try again.")

    def _create_slot(self, key: str | None, on_empty: Callable[[], None]) -> SessionSlot:
        return SessionSlot(
            self.spec.name,
            self._tasks,
            self._breaker,
            lambda probe, person: self._create_session(
                self.spec if person is None else self.spec.for_person(person), key, probe
            ),
            on_empty,
            is_personal=self.spec.personal is not None,
        )

    def _key(self, request: UpstreamRequest) -> str | None:
        """Whose session a request goes through: that of its person, of its client, of both, or that of all."""
        client = request.session_key if self.spec.session == "per_client" else None
        if request.credential is None:
            return client
        return session_key(request.credential.session, client)

    def _record_success(self, slot: SessionSlot) -> None:
        slot.failing = False
        self._breaker.record_success()
        self._last_seen = time.time()
        self._last_error = None

    def _record_failure(self, error: UpstreamError, slot: SessionSlot) -> None:
        if slot.is_personal_refusal(error):
            # It says nothing of the server, and others are let in.
            return
        self._last_error = error.message
        slot.failing = True
        self._breaker.record_failure(error)
        if self._breaker.is_open:
            # Whatever ails it may be gone with a new connection or process; what still answers keeps its own.
            for each in self._sessions:
                if each.failing:
                    each.failing = False
                    each.recycle()

    def _state(self) -> ServerState:
        if self._breaker.is_open:
            return "left_alone"
        if any(slot.connecting for slot in self._sessions):
            return "starting" if self._starting_sessions() else "connecting"
        if self._last_error is not None:
            return "failing"
        return "connected" if any(slot.connected for slot in self._sessions) else "idle"

    def _starting_sessions(self) -> list[UpstreamSession]:
        return [slot.current for slot in self._sessions if slot.current is not None and slot.current.starting]
