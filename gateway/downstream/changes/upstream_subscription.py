"""Resources of one server that are subscribed through one session, whatever becomes of that session."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from gateway.backoff import Backoff
from gateway.catalog.servers.server import Servers
from gateway.downstream.changes.subscription_registry import SessionKey
from gateway.downstream.changes.update_stream import UpdateStream
from gateway.errors import ModelGateError, NotFoundError, UpstreamReplyError
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_BACKOFF = Backoff(first_seconds=1.0, longest_seconds=30.0)
_STABLE_SECONDS = 10.0
_GATHER_SECONDS = 0.05


@dataclass(slots=True, eq=False)
class _SubscriptionOutcome:
    """What comes of asking the server for a subscription, for all who wait for it."""

    done: asyncio.Event = field(default_factory=asyncio.Event)
    error: ModelGateError | None = None


class UpstreamSubscription:
    """Subscribes anew in every session that follows another, and opens one where the last has ended.

    A server that ends its sessions soon is given up to half a minute between them.
    """

    def __init__(
        self,
        servers: Servers,
        pool: UpstreamPool,
        tenant_id: int,
        session_key: SessionKey,
        on_renewed: Callable[[str], None],
    ) -> None:
        """`on_renewed` is called with a resource that is subscribed again after a time in which nothing could be heard
        of it.
        """
        self._servers = servers
        self._pool = pool
        self._tenant_id = tenant_id
        self._session_key = session_key
        self._on_renewed = on_renewed
        # Resources by what is to be, and what is.
        self._wanted: set[str] = set()
        self._active: set[str] = set()
        self._refused: set[str] = set()
        self._interrupted: set[str] = set()
        self._outcomes: dict[str, _SubscriptionOutcome] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._spec: ServerSpec | None = None
        self._session: object | None = None
        self._ended_sessions = 0
        self._stream: UpdateStream | None = None
        self._opening_stream: UpdateStream | None = None
        self._failures = 0
        self._backs_off = False
        self._reconciled_at = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is wanted, and nothing left to be ended."""
        return not self._wanted and (self._task is None or self._task.done())

    async def subscribe(self, uri: str) -> None:
        """Subscribe to a resource. Returns when the server has agreed; raises ModelGateError where it does not."""
        self.request(uri)
        if uri in self._active:
            return
        outcome = self._outcomes.setdefault(uri, _SubscriptionOutcome())
        await outcome.done.wait()
        if outcome.error is not None:
            raise outcome.error.with_traceback(None)

    def request(self, uri: str) -> None:
        """Subscribe to a resource as soon as that can be."""
        self._wanted.add(uri)
        self._refused.discard(uri)
        self._failures = 0
        self.wake()

    def unsubscribe(self, uri: str) -> None:
        """Nobody wants to hear of the resource any more."""
        self._wanted.discard(uri)
        self._interrupted.discard(uri)
        self._resolve(uri, None)
        self.wake()

    def wake(self) -> None:
        """Something may be different now."""
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def on_session(self, session: object, opened: bool) -> None:
        """A session with the server, for this key, was opened or has ended."""
        if opened:
            self._session = session
        elif self._session in (session, None):
            self._session = None
            self._ended_sessions += 1
        else:
            return
        if self._active and self._stream is None:
            self._deactivate()
        self._refused.clear()
        self.wake()

    def on_acknowledged(self) -> None:
        """The server listens to what was asked of it last."""
        if self._opening_stream is not None:
            self._opening_stream.on_acknowledged()

    async def aclose(self) -> None:
        """Give up, and say nothing to the server, whose session ends."""
        self._wanted.clear()
        self._active.clear()
        self._resolve_all(None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _has_work(self) -> bool:
        return bool(self._wanted or self._active or self._stream)

    async def _run(self) -> None:
        try:
            while self._has_work():
                self._wake.clear()
                if self._backs_off and self._failures:
                    await self._pause()
                    if not self._has_work():
                        break
                try:
                    await self._reconcile()
                except NotFoundError as error:
                    self._resolve_all(error)
                    return
                except ModelGateError as error:
                    logger.info("Updates of resources are not heard for the moment: %s", error)
                    self._resolve_all(error)
                    self._failures += 1
                    self._backs_off = True
                    continue
                self._backs_off = False
                self._reconciled_at = asyncio.get_running_loop().time()
                if self._has_work():
                    await self._wake.wait()
        finally:
            self._close_stream()

    async def _pause(self) -> None:
        with anyio.move_on_after(_BACKOFF.delay(self._failures)):
            await self._wake.wait()
        self._wake.clear()

    async def _reconcile(self) -> None:
        """Have subscribed what is wanted, and nothing else."""
        spec = await self._servers.spec(self._tenant_id, self._session_key.server_id)
        if self._spec is not None and spec != self._spec:
            # The session with the server as it was may go on for a while.
            self._deactivate()
            self._close_stream()
        self._spec = spec
        if self._is_modern(spec):
            await self._reconcile_stream(spec)
            return
        for uri in sorted(self._active - self._wanted):
            self._active.discard(uri)
            with contextlib.suppress(UpstreamReplyError):
                await self._send(spec, "resources/unsubscribe", uri)
        for uri in sorted(self._wanted - self._active - self._refused):
            ended_sessions = self._ended_sessions
            try:
                await self._send(spec, "resources/subscribe", uri)
            except UpstreamReplyError as error:
                # The first request to a server settles its era.
                if self._is_modern(spec):
                    await self._reconcile_stream(spec)
                    return
                self._refused.add(uri)
                self._resolve(uri, error)
                continue
            if ended_sessions == self._ended_sessions:
                self._activate(uri)
            else:
                self.wake()

    async def _reconcile_stream(self, spec: ServerSpec) -> None:
        """A stream about something else takes the place of the one there is once it is acknowledged, so that nothing
        is missed between them.
        """
        # What is wanted in the same moment takes one stream.
        await asyncio.sleep(_GATHER_SECONDS)
        wanted = frozenset(self._wanted)
        if self._stream is not None and self._stream.uris == wanted:
            for uri in wanted:
                self._activate(uri)
            return
        if not wanted:
            self._close_stream()
            self._active.clear()
            return
        stream = self._opening_stream = UpdateStream(self._pool, spec, self._session_key.client_key, wanted)
        try:
            await stream.open()
        finally:
            self._opening_stream = None
        self._close_stream()
        self._stream = stream
        stream.subscribe_end(lambda: self._on_stream_end(stream))
        self._active &= wanted
        for uri in wanted:
            self._activate(uri)

    def _close_stream(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()

    def _on_stream_end(self, stream: UpdateStream) -> None:
        if self._stream is stream:
            self._stream = None
            self._deactivate()
            self.wake()

    def _activate(self, uri: str) -> None:
        self._active.add(uri)
        self._resolve(uri, None)
        if uri in self._interrupted:
            self._interrupted.discard(uri)
            self._on_renewed(uri)

    def _deactivate(self) -> None:
        """What was subscribed is so no more, and not by the gateway's own doing."""
        self._interrupted |= self._active & self._wanted
        self._active.clear()
        was_stable = asyncio.get_running_loop().time() - self._reconciled_at > _STABLE_SECONDS
        self._failures = 0 if was_stable else self._failures + 1
        self._backs_off = True

    def _resolve(self, uri: str, error: ModelGateError | None) -> None:
        """Tell those who wait for a subscription what has come of it."""
        outcome = self._outcomes.pop(uri, None)
        if outcome is not None:
            outcome.error = error
            outcome.done.set()

    def _resolve_all(self, error: ModelGateError | None) -> None:
        for uri in list(self._outcomes):
            self._resolve(uri, error)

    def _is_modern(self, spec: ServerSpec) -> bool:
        info = self._pool.session_info(spec)
        return info is not None and info.era == "modern"

    async def _send(self, spec: ServerSpec, method: str, uri: str) -> None:
        request = UpstreamRequest(method, {"uri": uri}, session_key=self._session_key.client_key)
        await self._pool.request(spec, request)
