"""One subscriptions/listen request to a modern server about resources; what it is about cannot be changed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from gateway.errors import UpstreamUnavailableError
from gateway.json_codec import Message
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import SUBSCRIPTIONS_LISTEN, UpstreamRequest
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_ACKNOWLEDGED_SECONDS = 2.0


class UpdateStream:
    """A stream about the resources `uris`, which lasts until it is closed or the server ends it."""

    def __init__(self, pool: UpstreamPool, spec: ServerSpec, client_key: str | None, uris: frozenset[str]) -> None:
        """`client_key` is whose upstream session it is where each client has its own."""
        self.uris = uris
        self._pool = pool
        self._spec = spec
        self._client_key = client_key
        self._acknowledged = asyncio.Event()
        self._task: asyncio.Task[Message] | None = None

    async def open(self) -> None:
        """Return when the server has acknowledged the stream, or has not for two seconds, as some servers never do.

        Raises ModelGateError where it ends instead.
        """
        params = {"notifications": {"resourceSubscriptions": sorted(self.uris)}}
        request = UpstreamRequest(SUBSCRIPTIONS_LISTEN, params, session_key=self._client_key, timeout=math.inf)
        self._task = asyncio.create_task(self._pool.request(self._spec, request))
        acknowledged = asyncio.create_task(self._acknowledged.wait())
        try:
            await asyncio.wait(
                (self._task, acknowledged), timeout=_ACKNOWLEDGED_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            acknowledged.cancel()
        if self._task.done():
            await self._task
            raise UpstreamUnavailableError(
                self._spec.name,
                f"Server {self._spec.name} ended a subscription as soon as it had begun; try again.",
            )

    def on_acknowledged(self) -> None:
        """The server says that it listens."""
        self._acknowledged.set()

    def subscribe_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the stream, which is open, has ended in whatever way."""

        def ended(task: asyncio.Task[Message]) -> None:
            if not task.cancelled():
                logger.debug("a subscription has ended: %s", task.exception())
            callback()

        if self._task is not None:
            self._task.add_done_callback(ended)

    def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
