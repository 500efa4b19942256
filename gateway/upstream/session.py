"""One long-lived session with one upstream server."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import TaskStatus
from mcp_types import HEADER_MISMATCH, INVALID_PARAMS

from gateway.errors import (
    RequestNotSentError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReplyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.json_codec import Message
from gateway.upstream.rpc.call import NO_HOOKS, Answering, Call, CallHooks
from gateway.upstream.rpc.list_pages import list_pages
from gateway.upstream.rpc.listen_stream import LISTEN, Interest, listen
from gateway.upstream.rpc.negotiation import SessionInfo, negotiate
from gateway.upstream.rpc.peer import Peer
from gateway.upstream.rpc.protocol_era import HandshakeEra, ModernEra, ProtocolEra
from gateway.upstream.rpc.server_requests import ServerRequests
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import Transport
from gateway.upstream.transports.process_reaper import ProcessReaper
from gateway.upstream.transports.transport_factory import open_transport

logger = logging.getLogger(__name__)

QUESTION_CAPABILITIES: Message = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
"""What the gateway offers to servers where somebody answers their questions."""

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""The largest message taken from a server unless told otherwise, in bytes."""

Heard = Callable[[str, Message], None]
"""Told `(method, params)` of a notification that belongs to no call; must return at once."""


def _unwatched(opened: bool) -> None:
    """A session that nobody watches comes and goes."""


def _unheard(method: str, params: Message) -> None:
    """A session without a listener lets notifications pass."""


class UpstreamSession:
    """A connection to the server of `spec`, opened and closed by `run` in one task; requests may come from any task."""

    def __init__(
        self,
        spec: ServerSpec,
        reaper: ProcessReaper,
        *,
        on_notification: Heard = _unheard,
        on_question: Answering | None = None,
        capabilities: Message | None = None,
        probe: bool = True,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        idle_seconds: float = 0.0,
        on_state: Callable[[bool], None] = _unwatched,
    ) -> None:
        """`capabilities` are offered to the server; without them, those of questions where `on_question` is given.

        `probe=False` goes to the handshake at once, for a server known to speak nothing else. A message from the server
        of over `max_message_bytes` is an error, which over stdio and HTTP+SSE ends the session. The session ends when
        it has not been used for `idle_seconds`, and nothing is subscribed through it; 0 is never. `on_state` is told
        True when the session was opened, and False when it has ended; it must return at once.
        """
        self.spec = spec
        self._reaper = reaper
        self._max_message_bytes = max_message_bytes
        self._idle_seconds = idle_seconds
        self._on_notification = on_notification
        self._on_question = on_question
        self._on_state = on_state
        self._interest = Interest()
        if capabilities is None:
            capabilities = QUESTION_CAPABILITIES if on_question is not None else {}
        self._capabilities = capabilities
        self._probe = probe and spec.transport != "sse"
        self._peer = Peer(
            spec.name,
            exclusive=spec.session == "per_client",
            on_notification=self._notified,
            on_request=self._asked,
            on_closed=self._lost,
        )
        self._questions: ServerRequests | None = None
        self._envelope: ProtocolEra | None = None
        self._info: SessionInfo | None = None
        self._transport: Transport | None = None
        self._ending = anyio.Event()
        self._retired = False
        self._last_used = time.monotonic()
        self.connected = False
        """Whether the session was opened; it stays so when it ends."""
        self.error: UpstreamError | None = None
        """Why the session ended; None while it lives, and after it was closed on purpose."""
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
        return self.connected and not self._retired and not self._ending.is_set()

    @property
    def subscribed(self) -> bool:
        """Whether anything is subscribed through the session."""
        return bool(self._interest)

    @property
    def stderr(self) -> str:
        """The last 64 KiB of the server's standard error output; empty for a server over HTTP."""
        return self._transport.stderr() if self._transport is not None else ""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Connect, report `started`, and stay until the session ends.

        Raises UpstreamError where the session cannot be opened within `spec.connect_timeout`; an end after that is told
        by `error` alone.
        """
        try:
            async with open_transport(self.spec, self._peer, self._reaper, self._max_message_bytes) as transport:
                failure = await self._live(transport, task_status)
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

    def retire(self) -> None:
        """Take no new requests, and end once those in flight are done."""
        self._retired = True
        if self._peer.calls_in_flight == 0:
            self.close()

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        first_timeout: float | None = None,
        ceiling: float = math.inf,
        hooks: CallHooks = NO_HOOKS,
        capabilities: Message | None = None,
    ) -> Message:
        """Send a request and return the server's result untouched, fields unknown to the gateway included.

        `params` are passed on, their `_meta` without what each hop says for itself. `timeout` is in seconds, by default
        the call timeout of the spec; it starts anew with each progress notification, which a server sends where `hooks`
        ask for progress; `first_timeout` holds until then where less time is left, and `ceiling` whatever comes.
        `capabilities` replace those of the session for this request where the era allows it.
        Raises UpstreamReplyError, UpstreamTimeoutError, UpstreamUnavailableError, UpstreamProtocolError.
        """
        envelope = self._envelope
        if envelope is None or self._ending.is_set():
            raise RequestNotSentError(
                self.spec.name, f"The connection to server {self.spec.name} has ended; try again."
            )
        if params is not None and "requestState" in params and self.info.era == "handshake":
            # It would take the answers for a new call, and do its work a second time.
            raise UpstreamReplyError(
                self.spec.name,
                INVALID_PARAMS,
                f"No call of server {self.spec.name} waits for this requestState any more; make the call anew.",
            )
        limit = self.spec.call_timeout if timeout is None else timeout
        try:
            wrapped, headers = envelope.wrap(method, params, capabilities)
            try:
                with self._interest.during(method, params):
                    return await self._peer.request(
                        method,
                        wrapped,
                        headers,
                        timeout=limit,
                        first_timeout=first_timeout,
                        ceiling=ceiling,
                        hooks=hooks,
                        # A stream that is listened to is no call that anything else said meanwhile could belong to.
                        background=method == LISTEN,
                    )
            except UpstreamReplyError as error:
                if error.code != HEADER_MISMATCH or method != "tools/call":
                    raise
            # The headers that repeat arguments follow the listed schema: list again, and send once more.
            await self.list_all("tools/list", "tools", timeout=limit)
            wrapped, headers = envelope.wrap(method, params, capabilities)
            return await self._peer.request(method, wrapped, headers, timeout=limit, ceiling=ceiling, hooks=hooks)
        finally:
            self._last_used = time.monotonic()
            if self._retired:
                self.retire()

    async def list_all(self, method: str, key: str, *, timeout: float | None = None) -> list[Any]:
        """Every item that a list method returns under `key`, as the server gave it, from all pages.

        `timeout` is for all pages together, in seconds, by default the list timeout of the spec.
        Raises UpstreamProtocolError for a page without a list under `key` or cursors that do not end, and what
        `request` raises.
        """
        limit = self.spec.list_timeout if timeout is None else timeout
        items = await list_pages(self.spec.name, self.request, method, key, limit)
        if method == "tools/list" and self._envelope is not None:
            self._envelope.learn(items)
        return items

    async def ping(self, *, timeout: float) -> float:
        """Ask for a sign of life. Returns the round trip in milliseconds; raises as `request` does."""
        # The clock of some event loops counts whole milliseconds.
        begun = time.perf_counter()
        used = self._last_used
        # A server that refuses to be pinged is alive.
        with suppress(UpstreamReplyError):
            await self.request("ping" if self.info.era == "handshake" else "server/discover", timeout=timeout)
        self._last_used = used
        return (time.perf_counter() - begun) * 1000

    async def _live(self, transport: Transport, task_status: TaskStatus[None]) -> UpstreamError | None:
        """Connect and stay to the end. A failure to connect is returned: a task group would wrap it."""
        failure: UpstreamError | None = None
        self._transport = transport
        async with anyio.create_task_group() as tasks:
            self._peer.attach(transport, tasks)
            self._questions = ServerRequests(self.spec.name, self._peer, tasks, self._on_question)
            try:
                failure = await self._connect(transport)
                if failure is None and self._envelope is not None:
                    tasks.start_soon(listen, self._peer, self.info, self._envelope)
                    self.connected = True
                    # However long it took to connect: whoever waits for that has yet to use it.
                    self._last_used = time.monotonic()
                    self._on_state(True)
                    task_status.started()
                    await self._until_ending()
            finally:
                self._ending.set()
                if self.connected:
                    self._on_state(False)
                self._peer.connection_closed(
                    UpstreamUnavailableError(
                        self.spec.name, f"The connection to server {self.spec.name} was closed; try again."
                    )
                )
                tasks.cancel_scope.cancel()
        return failure

    async def _connect(self, transport: Transport) -> UpstreamError | None:
        name, seconds = self.spec.name, self.spec.connect_timeout
        try:
            with anyio.fail_after(seconds):
                await transport.wait_ready()
                self._info = await negotiate(name, self._peer, self._capabilities, probe=self._probe, seconds=seconds)
                version = self._info.protocol_version
                if self._info.era == "handshake":
                    self._envelope = HandshakeEra(version)
                    await self._peer.notify("notifications/initialized", None, self._envelope.headers)
                else:
                    self._envelope = ModernEra(version, self._capabilities)
                await transport.set_protocol_version(version)
        except (TimeoutError, UpstreamTimeoutError):
            if transport.non_mcp_output() is not None:
                return UpstreamProtocolError(
                    name, f"Server {name} does not speak MCP; it says {transport.non_mcp_output()!r}."
                )
            return UpstreamTimeoutError(
                name,
                f"Server {name} did not start a session within {seconds:.3g} s; check that it runs and speaks MCP.",
            )
        except RequestNotSentError as error:
            self.ended_in_probe = self._probe
            return self.error or error
        except UpstreamError as error:
            return error
        return None

    async def _until_ending(self) -> None:
        idle = self._idle_seconds
        while idle and not self._ending.is_set():
            left = self._last_used + idle - time.monotonic()
            if left <= 0 and self._peer.calls_in_flight == 0 and not self._interest:
                return
            # Whatever keeps it from being unused is a use when it ends.
            with anyio.move_on_after(left if left > 0 else idle):
                await self._ending.wait()
        await self._ending.wait()

    def _notified(self, method: str, params: Message) -> None:
        if method == "notifications/cancelled":
            if self._questions is not None:
                self._questions.cancel(params.get("requestId"))
            return
        try:
            self._on_notification(method, params)
        except Exception:
            logger.exception("%s of server %s could not be handled", method, self.spec.name)

    def _asked(self, message: Message, call: Call | None) -> None:
        if self._questions is not None:
            self._questions.ask(message, call)

    def _lost(self, error: UpstreamError) -> None:
        if not self._ending.is_set():
            self.error = error
            self._ending.set()
