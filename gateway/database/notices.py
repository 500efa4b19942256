"""LISTEN: what other processes, and this one, have changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg

from gateway.database.pool import Database
from gateway.database.queries import statement

logger = logging.getLogger(__name__)

CHANNEL = "modelgate"
_RETRY_SECONDS = 0.5
# A connection can be dead without anybody saying so, and what is kept would be trusted on and on.
_PROBE_SECONDS = 1.0

OnNotice = Callable[[str], None]


class Notices:
    """Keeps one connection that listens, and hands each payload to those who subscribed.

    While the connection is lost, something may have been missed: `connected` is False, and after it came back
    subscribers get an empty payload, which means that anything may have changed. They get one, too, for each change
    that this process makes, before the changing call returns.
    """

    def __init__(self, database: Database) -> None:
        self._url = database.url
        self._subscribers: list[OnNotice] = []
        self.connected = False
        # PostgreSQL may take a moment to deliver what this process itself has changed.
        database.on_change(lambda: self._tell(""))

    def subscribe(self, callback: OnNotice) -> None:
        """Call `callback(payload)` for every notice; it must not block."""
        self._subscribers.append(callback)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen until the block ends; returns once the first connection stands or was tried."""
        tried = asyncio.Event()
        task = asyncio.create_task(self._keep_listening(tried))
        try:
            await tried.wait()
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_listening(self, tried: asyncio.Event) -> None:
        while True:
            lost = asyncio.Event()
            connection: asyncpg.Connection[Any] | None = None
            try:
                connection = await asyncpg.connect(
                    self._url, timeout=5, server_settings={"application_name": "modelgate-notices"}
                )
                connection.add_termination_listener(lambda *_, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, self._on_notice)
                self.connected = True
                self._tell("")
                tried.set()
                await _until_lost(connection, lost)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.TimeoutError) as error:
                logger.info("Not listening for changes for the moment: %s", error)
            finally:
                self.connected = False
                tried.set()
                if connection is not None and not connection.is_closed():
                    connection.terminate()
            await asyncio.sleep(_RETRY_SECONDS)

    def _on_notice(self, *event: Any) -> None:
        self._tell(str(event[3]))

    def _tell(self, payload: str) -> None:
        for subscriber in self._subscribers:
            subscriber(payload)


async def _until_lost(connection: asyncpg.Connection[Any], lost: asyncio.Event) -> None:
    """Return when the connection has ended. Raises asyncio.TimeoutError where it does not answer within a second."""
    while not lost.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(lost.wait(), _PROBE_SECONDS)
            return
        await connection.execute(statement("probe"), timeout=_PROBE_SECONDS)
