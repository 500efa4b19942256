"""One long-lived session with one upstream server."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp_types import HEADER_MISMATCH, INVALID_PARAMS

from gateway.errors import (
    RequestNotSentError,
    SessionLostError,
    UpstreamError,
    UpstreamHttpError,
    UpstreamReplyError,
    UpstreamUnavailableError,
)
from gateway.json_codec import Message
from gateway.telemetry.tracing import untraced
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.call import Call
from gateway.upstream.rpc.list_pages import list_pages
from gateway.upstream.rpc.listen_stream import ActiveSubscriptions, listen
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.rpc.peer import Peer
from gateway.upstream.rpc.protocol_era import ProtocolEra
from gateway.upstream.rpc.server_requests import ServerRequests
from gateway.upstream.rpc.session_loss import SessionLossDetector
from gateway.upstream.rpc.session_opening import SessionOpening
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import Transport
from gateway.upstream.transports.process_reaper import ProcessReaper
from gateway.upstream.transports.transport_factory import open_transport

logger = logging.getLogger(__name__)

CLIENT_CAPABILITIES: Message = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
"""What the gateway offers to servers, for it puts their questions to the clients whose calls they are about."""

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""The largest message taken from a server unless told otherwise, in bytes."""


def _ignore_state(opened: bool) -> None:
    """A session that nobody watches comes and goes."""


def _ignore_notification(method: str, params: Message) -> None:
    """A session without a listener lets notifications pass."""


class UpstreamSession:
    """A connection to the server of `spec`, opened and closed by `run` in one task; requests may come from any task."""

    def __init__(
        self,
        spec: ServerSpec,
        reaper: ProcessReaper,
        *,
        on_notification: Callable[[str, Message], None] = _ignore_notification,
        capabilities: Message | None = None,
        probe: bool = True,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        max_call_seconds: float = math.inf,
        idle_seconds: float = 0.0,
        on_state_change: Callable[[bool], None] = _ignore_state,
    ) -> None:
        """`capabilities` are offered to the server.

        `probe=False` goes to the handshake at once, for a server known to speak nothing else. A message from the server
        of over `max_message_bytes` is an error, which over stdio and HTTP+SSE ends the session. Progress puts off the
        timeout of a call up to `max_call_seconds`, or up to its timeout where that is more. The session ends when it
        has not been used for `idle_seconds`, and nothing is subscribed through it; 0 is never. `on_notification` is
        given method and params of notifications that belong to no call, `on_state_change` True when the session was
        opened and False when it has ended; both must return at once.
        """
        self.spec = spec
        self._reaper = reaper
        self._max_message_bytes = max_message_bytes
        self._idle_seconds = idle_seconds
        self._on_notification = on_notification
        self._on_state_change = on_state_change
        self._subscriptions = ActiveSubscriptions()
        self._capabilities = capabilities or {}
        self._probe = probe and spec.transport != "sse"
        self._peer = Peer(
            spec.name,
            exclusive=spec.session == "per_client",
            call_timeout=spec.call_timeout,
            max_call_seconds=max_call_seconds,
            on_notification=self._handle_notification,
            on_request=self._handle_server_request,
            on_closed=self._handle_close,
            on_first_message=self._handle_first_message,
            on_session_doubted=self._handle_session_doubted,
        )
        self._opening = SessionOpening(spec, self._peer, self._capabilities, probe=self._probe)
        self._server_requests: ServerRequests | None = None
        self._era: ProtocolEra | None = None
        self._loss_detector: SessionLossDetector | None = None
        self._info: SessionInfo | None = None
        self._transport: Transport | None = None
        self._tasks: TaskGroup | None = None
        self._ending = anyio.Event()
        self._draining = False
        self._last_used = time.monotonic()
        self.connected = False
        """Whether the session was opened; it stays so when it ends."""
        self.error: UpstreamError | None = None
        """Why the session ended; None while it lives, and after it was closed on purpose."""
        self.listing_notes: dict[str, str] = {}
        """By list method what was odd about the pages of its last listing, empty for nothing."""
        self.ended_in_probe = False
        """Whether the server ended on being asked for the modern era, as some do that know only the handshake."""

    @property
    def info(self) -> SessionInfo:
        """What the server said of itself. Raises UpstreamUnavailableError before the session is connected."""
        if self._info is None:
            raise UpstreamUnavailableError(self.spec.name, f"Server {self.spec.name} is not connected yet.")
        return self._info

    @property
    def usable(self) -> bool:
        """Whether new requests may be sent."""
        return self.connected and not self._draining and not self._ending.is_set()

    @property
    def starting(self) -> bool:
        """Whether the process of a stdio server runs, and has not answered yet."""
        return self._opening.awaits_start

    @property
    def has_subscriptions(self) -> bool:
        """Whether anything is subscribed through the session."""
        return bool(self._subscriptions)

    @property
    def stderr(self) -> str:
        """The last 64 KiB of the server's standard error output; empty for a server over HTTP."""
        return self._transport.stderr() if self._transport is not None else ""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Connect, report `started`, and stay until the session ends.

        Raises UpstreamError where the server does not answer within `spec.first_answer_timeout`, or the session is not
        open within `spec.connect_timeout` from then; an end after that is told by `error` alone.
        """
        try:
            # It stays open for others than the one whose request has opened it.
            with untraced():
                async with open_transport(self.spec, self._peer, self._reaper, self._max_message_bytes) as transport:
                    failure = await self._run_over(transport, task_status)
            if failure is not None:
                raise failure
        except UpstreamError as error:
            self.error = error
            raise
        finally:
            self._ending.set()

    def close(self) -> None:
        """End the session; calls in flight fail."""
        self._ending.set()

    def drain(self) -> None:
        """Take no new requests, and end once those in flight are done."""
        self._draining = True
        if self._peer.calls_in_flight == 0:
            self.close()

    async def request(self, request: UpstreamRequest, *, first_timeout: float | None = None) -> Message:
        """Send a request and return the server's result untouched, fields unknown to the gateway included.

        `first_timeout`, in seconds, holds instead of the request's own until it starts anew, where less time is left.
        Raises UpstreamReplyError, UpstreamTimeoutError, UpstreamUnavailableError, UpstreamProtocolError.
        """
        era = self._era
        if era is None or self._ending.is_set():
            raise RequestNotSentError(
                self.spec.name, f"The connection to server {self.spec.name} has ended; try again."
            )
        if request.params is not None and "requestState" in request.params and self.info.era == "handshake":
            # It would take the answers for a new call, and do its work a second time.
            raise UpstreamReplyError(
                self.spec.name,
                INVALID_PARAMS,
                f"No call of server {self.spec.name} waits for this requestState any more; make the call anew.",
            )
        try:
            try:
                with self._subscriptions.track(request):
                    return await self._request_in_session(request, era, first_timeout)
            except UpstreamReplyError as error:
                if error.code != HEADER_MISMATCH or request.method != "tools/call":
                    raise
            # The headers that repeat arguments follow the listed schema: list again, and send once more.
            await self.list_all(
                "tools/list", "tools", timeout=self.spec.call_timeout if request.timeout is None else request.timeout
            )
            return await self._peer.request(request, era)
        finally:
            self._last_used = time.monotonic()
            if self._draining:
                self.drain()

    async def list_all(self, method: str, key: str, *, timeout: float | None = None) -> list[Any]:
        """Every item that a list method returns under `key`, as the server gave it, from all pages.

        `timeout` is for all pages together, in seconds, by default the list timeout of the spec.
        Raises UpstreamProtocolError for a page without a list under `key` or cursors that do not end, and what
        `request` raises. What was odd about the pages is in `listing_notes`.
        """
        limit = self.spec.list_timeout if timeout is None else timeout
        listing = await list_pages(self.spec.name, self.request, method, key, limit)
        if method == "tools/list" and self._era is not None:
            self._era.register_tools(listing.items)
        self.listing_notes[method] = listing.note
        if listing.note:
            logger.warning("server %s: %s", self.spec.name, listing.note)
        return listing.items

    async def ping(self, *, timeout: float) -> float:
        """Ask for a sign of life. Returns the round trip in milliseconds; raises as `request` does.

        A refusal is a sign of life too, except where it may mean that the server has forgotten the session.
        """
        # The clock of some event loops counts whole milliseconds.
        started = time.perf_counter()
        last_used = self._last_used
        request = UpstreamRequest("ping" if self.info.era == "handshake" else "server/discover", timeout=timeout)
        judge = self._loss_detector
        if judge is not None and judge.ignores_pings:
            request = replace(judge.sign_of_life, timeout=timeout)
        try:
            await self.request(request)
        except UpstreamReplyError as error:
            if request.method.endswith("/list"):
                raise UpstreamUnavailableError(self.spec.name, error.message) from None
        self._last_used = last_used
        return (time.perf_counter() - started) * 1000

    async def learn_of_pings(self) -> bool:
        """Whether pings say nothing of the server, for it refuses them in this session, which was just opened, too.

        Raises SessionLostError where it refuses everything.
        """
        if self._loss_detector is None:
            return False
        await self._loss_detector.learn_of_pings()
        return self._loss_detector.ignores_pings

    @property
    def ignores_pings(self) -> bool:
        """Whether the server is known to refuse pings in a session that it knows."""
        return self._loss_detector is not None and self._loss_detector.ignores_pings

    def ignore_pings(self) -> None:
        """Pings say nothing of this server."""
        if self._loss_detector is not None:
            self._loss_detector.ignores_pings = True

    async def _request_in_session(
        self, request: UpstreamRequest, era: ProtocolEra, first_timeout: float | None
    ) -> Message:
        """Send a request; a session that the server has forgotten takes no further ones."""
        try:
            try:
                return await self._peer.request(request, era, first_timeout=first_timeout)
            except (UpstreamReplyError, UpstreamHttpError) as refusal:
                lost = await self._loss_detector.judge(request, refusal) if self._loss_detector is not None else None
                if lost is None:
                    raise
                raise lost from None
        except SessionLostError:
            self.drain()
            raise

    async def _run_over(self, transport: Transport, task_status: TaskStatus[None]) -> UpstreamError | None:
        """Connect and stay to the end. A failure to connect is returned: a task group would wrap it."""
        failure: UpstreamError | None = None
        self._transport = transport
        async with anyio.create_task_group() as tasks:
            self._peer.attach(transport, tasks)
            self._tasks = tasks
            self._server_requests = ServerRequests(
                self.spec.name, self._peer, tasks, refuses_roots="roots" not in self._capabilities
            )
            try:
                failure = await self._connect(transport)
                if failure is None and self._era is not None:
                    tasks.start_soon(listen, self._peer, self.info, self._era)
                    self.connected = True
                    # However long it took to connect: whoever waits for that has yet to use it.
                    self._last_used = time.monotonic()
                    self._on_state_change(True)
                    task_status.started()
                    await self._wait_for_end()
            finally:
                self._ending.set()
                if self.connected:
                    self._on_state_change(False)
                self._peer.connection_closed(
                    UpstreamUnavailableError(
                        self.spec.name, f"The connection to server {self.spec.name} was closed; try again."
                    )
                )
                tasks.cancel_scope.cancel()
        return failure

    async def _connect(self, transport: Transport) -> UpstreamError | None:
        """Open the session; returns why it cannot be."""
        try:
            opened = await self._opening.run(transport)
        except RequestNotSentError as error:
            self.ended_in_probe = self._probe
            return self.error or error
        except UpstreamError as error:
            return error
        self._info, self._era, self._loss_detector = opened.info, opened.era, opened.loss_detector
        return None

    def _handle_first_message(self) -> None:
        self._opening.handle_first_message()

    def _handle_session_doubted(self) -> None:
        if self._tasks is not None and self.usable:
            self._tasks.start_soon(self._verify)

    async def _verify(self) -> None:
        """Find out whether the server still knows the session; if not, it takes no further requests."""
        with suppress(UpstreamError):
            await self.ping(timeout=self.spec.connect_timeout)

    async def _wait_for_end(self) -> None:
        idle = self._idle_seconds
        while idle and not self._ending.is_set():
            left = self._last_used + idle - time.monotonic()
            if left <= 0 and self._peer.calls_in_flight == 0 and not self._subscriptions:
                return
            # Whatever keeps it from being unused is a use when it ends.
            with anyio.move_on_after(left if left > 0 else idle):
                await self._ending.wait()
        await self._ending.wait()

    def _handle_notification(self, method: str, params: Message) -> None:
        if method == "notifications/cancelled":
            if self._server_requests is not None:
                self._server_requests.cancel(params.get("requestId"))
            return
        try:
            self._on_notification(method, params)
        except Exception:
            logger.exception("%s of server %s could not be handled", method, self.spec.name)

    def _handle_server_request(self, message: Message, call: Call | None) -> None:
        if self._server_requests is not None:
            self._server_requests.handle(message, call)

    def _handle_close(self, error: UpstreamError) -> None:
        if not self._ending.is_set():
            self.error = error
            self._ending.set()
