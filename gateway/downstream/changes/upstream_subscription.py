"""Resources of one server that are subscribed through one session, whatever becomes of that session."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.backoff import Backoff
from gateway.catalog.server import Servers
from gateway.downstream.changes.update_stream import UpdateStream
from gateway.errors import ModelGateError, NotFoundError, UpstreamReplyError
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_RETRY = Backoff(first_seconds=1.0, longest_seconds=30.0)
_STEADY_SECONDS = 10.0
_GATHER_SECONDS = 0.05


@dataclass(slots=True, eq=False)
class _Outcome:
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
        server: tuple[int, int],
        session_key: str | None,
        on_renewed: Callable[[str], None],
    ) -> None:
        """`server` is a tenant and a server of it. `on_renewed` is told of a resource that is subscribed again after a
        time in which nothing could be heard of it.
        """
        self._servers = servers
        self._pool = pool
        self._server = server
        self._session_key = session_key
        self._on_renewed = on_renewed
        self._wanted: set[str] = set()
        self._held: set[str] = set()
        self._refused: set[str] = set()
        self._lost: set[str] = set()
        self._waiting: dict[str, _Outcome] = {}
        self._stir = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._spec: ServerSpec | None = None
        self._session: object | None = None
        self._ends = 0
        self._stream: UpdateStream | None = None
        self._beginning: UpdateStream | None = None
        self._setbacks = 0
        self._hasty = False
        self._agreed_at = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is wanted, and nothing left to be ended."""
        return not self._wanted and (self._task is None or self._task.done())

    def _busy(self) -> bool:
        return bool(self._wanted or self._held or self._stream)

    async def want(self, own: str) -> None:
        """Subscribe to a resource. Returns when the server has agreed; raises ModelGateError where it does not."""
        self.wish(own)
        if own in self._held:
            return
        outcome = self._waiting.setdefault(own, _Outcome())
        await outcome.done.wait()
        if outcome.error is not None:
            raise outcome.error.with_traceback(None)

    def wish(self, own: str) -> None:
        """Subscribe to a resource as soon as that can be."""
        self._wanted.add(own)
        self._refused.discard(own)
        self._setbacks = 0
        self.look()

    def leave(self, own: str) -> None:
        """Nobody wants to hear of the resource any more."""
        self._wanted.discard(own)
        self._lost.discard(own)
        self._settle(own, None)
        self.look()

    def look(self) -> None:
        """Something may be different now."""
        self._stir.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def session_changed(self, session: object, opened: bool) -> None:
        """A session with the server, for this key, was opened or has ended."""
        if opened:
            self._session = session
        elif self._session in (session, None):
            self._session = None
            self._ends += 1
        else:
            return
        if self._held and self._stream is None:
            self._lose()
        self._refused.clear()
        self.look()

    def acknowledged(self) -> None:
        """The server listens to what was asked of it last."""
        if self._beginning is not None:
            self._beginning.acknowledge()

    async def aclose(self) -> None:
        """Give up, and say nothing to the server, whose session ends."""
        self._wanted.clear()
        self._held.clear()
        for own in list(self._waiting):
            self._settle(own, None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._busy():
                self._stir.clear()
                if self._hasty and self._setbacks:
                    pause = _RETRY.delay(self._setbacks)
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self._stir.wait(), pause)
                    self._stir.clear()
                    if not self._busy():
                        break
                try:
                    await self._agree()
                except NotFoundError as error:
                    self._settle_all(error)
                    return
                except ModelGateError as error:
                    logger.info("Updates of resources are not heard for the moment: %s", error)
                    self._settle_all(error)
                    self._setbacks += 1
                    self._hasty = True
                    continue
                self._hasty = False
                self._agreed_at = asyncio.get_running_loop().time()
                if self._busy():
                    await self._stir.wait()
        finally:
            self._end_stream()

    async def _agree(self) -> None:
        """Have subscribed what is wanted, and nothing else."""
        spec = await self._servers.spec(*self._server)
        if self._spec is not None and spec != self._spec:
            # The session with the server as it was may go on for a while.
            self._lose()
            self._end_stream()
        self._spec = spec
        if self._is_modern(spec):
            await self._agree_by_stream(spec)
            return
        for own in sorted(self._held - self._wanted):
            self._held.discard(own)
            with contextlib.suppress(UpstreamReplyError):
                await self._request(spec, "resources/unsubscribe", own)
        for own in sorted(self._wanted - self._held - self._refused):
            ends = self._ends
            try:
                await self._request(spec, "resources/subscribe", own)
            except UpstreamReplyError as error:
                # The first request to a server settles its era.
                if self._is_modern(spec):
                    await self._agree_by_stream(spec)
                    return
                self._refused.add(own)
                self._settle(own, error)
                continue
            if ends == self._ends:
                self._have(own)
            else:
                self.look()

    async def _agree_by_stream(self, spec: ServerSpec) -> None:
        """A stream about something else takes the place of the one there is once it is acknowledged, so that nothing
        is missed between them.
        """
        # What is wanted in the same moment takes one stream.
        await asyncio.sleep(_GATHER_SECONDS)
        wanted = frozenset(self._wanted)
        if self._stream is not None and self._stream.wanted == wanted:
            for own in wanted:
                self._have(own)
            return
        if not wanted:
            self._end_stream()
            self._held.clear()
            return
        stream = self._beginning = UpdateStream(self._pool, spec, self._session_key, wanted)
        try:
            await stream.begin()
        finally:
            self._beginning = None
        self._end_stream()
        self._stream = stream
        stream.on_end(lambda: self._ended(stream))
        self._held &= wanted
        for own in wanted:
            self._have(own)

    def _end_stream(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.end()

    def _ended(self, stream: UpdateStream) -> None:
        if self._stream is stream:
            self._stream = None
            self._lose()
            self.look()

    def _lose(self) -> None:
        """What was subscribed is so no more, and not by the gateway's own doing."""
        self._lost |= self._held & self._wanted
        self._held.clear()
        steady = asyncio.get_running_loop().time() - self._agreed_at > _STEADY_SECONDS
        self._setbacks = 0 if steady else self._setbacks + 1
        self._hasty = True

    def _have(self, own: str) -> None:
        self._held.add(own)
        self._settle(own, None)
        if own in self._lost:
            self._lost.discard(own)
            self._on_renewed(own)

    def _settle(self, own: str, error: ModelGateError | None) -> None:
        outcome = self._waiting.pop(own, None)
        if outcome is not None:
            outcome.error = error
            outcome.done.set()

    def _settle_all(self, error: ModelGateError) -> None:
        for own in list(self._waiting):
            self._settle(own, error)

    def _is_modern(self, spec: ServerSpec) -> bool:
        info = self._pool.session_info(spec)
        return info is not None and info.era == "modern"

    async def _request(self, spec: ServerSpec, method: str, own: str) -> None:
        await self._pool.request(spec, method, {"uri": own}, session_key=self._session_key)
