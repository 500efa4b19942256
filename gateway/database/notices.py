"""LISTEN: what other processes, and this one, have changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import asyncpg

from gateway.database.connection import CONNECTION_ERRORS, ConnectionChange
from gateway.database.pool import Database
from gateway.database.queries import statement

logger = logging.getLogger(__name__)

CHANNEL = "modelgate"
_RETRY_SECONDS = 0.5
# A connection can be dead without anybody saying so, and what is kept would be trusted on and on. It is asked every so
# often, and has as long to answer: within a second in all it counts as lost.
_PROBE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Notice:
    """What has changed: a tenant, and of it `key_id`, what `person_id` has connected (at `server_id`), or the catalogue
    where these are given; or a space, which is `serving_space_id` as well where it serves from now on; or all queries
    were forgotten, `cleared_queries` of them in the database.

    Without any of them anything may have changed.
    """

    tenant_id: int | None = None
    key_id: int | None = None
    catalogue_version: int | None = None
    space_id: int | None = None
    cleared_queries: int | None = None
    serving_space_id: int | None = None
    person_id: int | None = None
    server_id: int | None = None

    @property
    def concerns_catalogue(self) -> bool:
        """Whether what callers see of a catalogue may have changed."""
        return self.catalogue_version is not None or self == ANYTHING


ANYTHING = Notice()

OnNotice = Callable[[Notice], None]
OnPayload = Callable[[str], None]


def parse_notice(payload: str) -> Notice:
    """The notice that a payload of the channel holds; one that cannot be read may be about anything."""
    try:
        fields = json.loads(payload)
        names = ("tenant", "key", "catalogue", "space", "queries", "serving", "person", "server")
        numbers = {name: fields.get(name) for name in names}
    except (ValueError, AttributeError):
        return ANYTHING
    if not all(number is None or type(number) is int for number in numbers.values()):
        return ANYTHING
    return Notice(*numbers.values())


class Notices:
    """Keeps one connection that listens, and hands each notice to those who subscribed.

    While the connection is lost, something may have been missed: `connected` is False, and after it came back
    subscribers are told that anything may have changed. They are told so, too, of each change that this process makes,
    before the changing call returns.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._url = database.url
        self._subscribers: list[OnNotice] = []
        self._channels: dict[str, list[OnPayload]] = {}
        # The highest version of each tenant's catalogue that subscribers were told of.
        self._versions: dict[int, int] = {}
        self.connected = False
        # PostgreSQL may take a moment to deliver what this process itself has changed.
        database.subscribe(self._on_own_change)

    def subscribe(self, callback: OnNotice) -> None:
        """Call `callback(notice)` for every notice; it must not block."""
        self._subscribers.append(callback)

    def subscribe_channel(self, channel: str, callback: OnPayload) -> None:
        """Call `callback` with what is told on another channel, and with "" where anything may have been; it must not
        block. To be called before `listening`.
        """
        self._channels.setdefault(channel, []).append(callback)

    async def catch_up(self, tenant_id: int) -> None:
        """Returns when subscribers have been told of all that has changed in a tenant's catalogue until now, though the
        notice of it be on its way still. Raises DatabaseError.
        """
        version = await self._database.fetchval("catalogue_version", tenant_id)
        if version is not None and version > self._versions.get(tenant_id, 0):
            self._publish(Notice(tenant_id, catalogue_version=version))

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
                await connection.add_listener(CHANNEL, self._on_notification)
                for channel in self._channels:
                    await connection.add_listener(channel, self._on_payload)
                self.connected = True
                self._publish(ANYTHING)
                for channel in self._channels:
                    self._on_payload(None, 0, channel, "")
                tried.set()
                await _until_lost(connection, lost)
            except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
                logger.info("Not listening for changes for the moment: %s", error)
            finally:
                self.connected = False
                tried.set()
                if connection is not None and not connection.is_closed():
                    connection.terminate()
            await asyncio.sleep(_RETRY_SECONDS)

    def _on_own_change(self, change: ConnectionChange | None) -> None:
        if change is None:
            self._publish(ANYTHING)
        else:
            self._publish(Notice(change.tenant_id, person_id=change.person_id, server_id=change.server_id))

    def _on_notification(self, _: object, __: int, ___: str, payload: object) -> None:
        self._publish(parse_notice(str(payload)))

    def _on_payload(self, _: object, __: int, channel: str, payload: object) -> None:
        for callback in self._channels.get(channel, ()):
            callback(str(payload))

    def _publish(self, notice: Notice) -> None:
        if notice.tenant_id is not None and notice.catalogue_version is not None:
            self._versions[notice.tenant_id] = max(notice.catalogue_version, self._versions.get(notice.tenant_id, 0))
        for subscriber in self._subscribers:
            subscriber(notice)


async def _until_lost(connection: asyncpg.Connection[Any], lost: asyncio.Event) -> None:
    """Return when the connection has ended. Raises asyncio.TimeoutError where it does not answer in time."""
    while not lost.is_set():
        with anyio.move_on_after(_PROBE_SECONDS):
            await lost.wait()
            return
        await connection.execute(statement("probe"), timeout=_PROBE_SECONDS)
