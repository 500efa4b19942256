"""Requests for tokens under way: at most one for each person and server, whoever waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

import anyio
from cachetools import TTLCache

from gateway.access.connections.connections import ConnectionKey
from gateway.errors import ModelGateError, UpstreamUnavailableError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Below the time that a connection is locked: a renewal is over while its lock still holds.
_REQUEST_SECONDS = 40.0
_CLOSE_SECONDS = 5.0
# A provider that hangs is not given all sockets of the gateway.
_MAX_OF_SERVER = 32
_RETRY_SECONDS = 10.0
_MAX_KNOWN_TRIES = 20_000


class TokenRequests:
    """Runs requests to authorization servers. Each goes on when those who wait for it are cancelled: what it brings is
    not lost, for a refresh token may be used up by then.

    The users of one server wait for each other at most, never for those of another.
    """

    def __init__(self) -> None:
        self._under_way: dict[ConnectionKey, tuple[Hashable, asyncio.Task[Any]]] = {}
        self._limits: dict[tuple[int, int], asyncio.Semaphore] = {}
        self._tried: TTLCache[ConnectionKey, bool] = TTLCache(_MAX_KNOWN_TRIES, _RETRY_SECONDS, time.monotonic)

    async def run(
        self, server: str, connection: ConnectionKey, key: Hashable, request: Callable[[], Awaitable[T]]
    ) -> T:
        """What `request` returns, or the one of the same `key` that is under way; another key has to wait its turn.

        Raises what it raises, and UpstreamUnavailableError in the name of `server` where it takes too long.
        """
        while (current := self._under_way.get(connection)) is not None and current[0] != key:
            await asyncio.wait([current[1]])
        task = current[1] if current is not None else self._start(server, connection, key, request)
        try:
            return cast(T, await asyncio.shield(task))
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            raise UpstreamUnavailableError(
                server, f"The gateway is stopping; no token for {server} was fetched; call again in a moment."
            ) from None

    def run_beside(
        self, server: str, connection: ConnectionKey, key: Hashable, request: Callable[[], Awaitable[Any]]
    ) -> None:
        """Run `request` ahead of when it is needed, unless one is under way or was a few seconds ago."""
        if connection in self._under_way or connection in self._tried:
            return
        self._tried[connection] = True
        self._start(server, connection, key, request)

    async def aclose(self) -> None:
        """Return when all have ended, of themselves or because they took longer than a few seconds."""
        tasks = [task for _, task in self._under_way.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(
        self, server: str, connection: ConnectionKey, key: Hashable, request: Callable[[], Awaitable[Any]]
    ) -> asyncio.Task[Any]:
        task = asyncio.create_task(self._bounded(server, connection, request))
        self._under_way[connection] = (key, task)

        def forget(done: asyncio.Task[Any]) -> None:
            del self._under_way[connection]
            # Everybody who waited for it may be gone.
            error = None if done.cancelled() else done.exception()
            if error is not None and not isinstance(error, ModelGateError):
                logger.error("a request for a token failed", exc_info=error)

        task.add_done_callback(forget)
        return task

    async def _bounded(self, server: str, connection: ConnectionKey, request: Callable[[], Awaitable[Any]]) -> Any:
        limit = self._limits.setdefault((connection[0], connection[2]), asyncio.Semaphore(_MAX_OF_SERVER))
        try:
            with anyio.fail_after(_REQUEST_SECONDS):
                async with limit:
                    return await request()
        except TimeoutError:
            raise UpstreamUnavailableError(
                server, f"The authorization server of {server} takes too long to give a token; try again."
            ) from None
