"""The pool of connections to the database."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

import asyncpg

from gateway.database.actor import GATEWAY, current_actor
from gateway.database.connection import CONNECTION_ERRORS, DatabaseConnection, PooledConnection, Row, set_codecs
from gateway.database.embedded import EmbeddedServer
from gateway.database.migrate import migrate
from gateway.database.requirements import DatabaseRequirements, location_of
from gateway.errors import DatabaseError, DatabaseUnavailableError
from gateway.settings import Settings

_ACQUIRE_SECONDS = 5.0
# A statement that takes longer than this has lost its way; it must not hold a connection for ever.
_STATEMENT_SECONDS = 10.0
_RESTART_INTERVAL_SECONDS = 1.0
_SERVER_SETTINGS = {
    "application_name": "modelgate",
    "jit": "off",
    # An index scan goes on until it has as many tools as were asked for that the caller may see.
    "hnsw.iterative_scan": "strict_order",
    # What the triggers that write the audit log name, unless somebody else acts.
    "modelgate.actor": GATEWAY.json,
}


class Database:
    """A pool of connections to one PostgreSQL, embedded or not. Use `open_database`."""

    def __init__(self, pool: asyncpg.Pool[Any], url: str, embedded: EmbeddedServer | None) -> None:
        self._pool = pool
        self._embedded = embedded
        self._restarted_at = 0.0
        self._subscribers: list[Callable[[], None]] = []
        self.url = url

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each committed change that other processes are told of, before its caller goes on."""
        self._subscribers.append(callback)

    @property
    def connections(self) -> Mapping[str, float]:
        """How many pooled connections are "busy" and "idle"."""
        idle = self._pool.get_idle_size()
        return {"busy": self._pool.get_size() - idle, "idle": idle}

    async def fetch(self, name: str, *args: Any, **numbers: int) -> list[Row]:
        async with self.connection() as connection:
            return await connection.fetch(name, *args, **numbers)

    async def fetchrow(self, name: str, *args: Any, **numbers: int) -> Row | None:
        async with self.connection() as connection:
            return await connection.fetchrow(name, *args, **numbers)

    async def fetchval(self, name: str, *args: Any, **numbers: int) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(name, *args, **numbers)

    async def execute(self, name: str, *args: Any, **numbers: int) -> int:
        async with self.connection() as connection:
            return await connection.execute(name, *args, **numbers)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[DatabaseConnection]:
        """One connection for several statements."""
        try:
            lent = await self._pool.acquire(timeout=_ACQUIRE_SECONDS)
        except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            await self._restart_embedded()
            raise DatabaseUnavailableError() from error
        try:
            # It is a proxy that has every method of a connection.
            pooled = cast(PooledConnection, lent)
            connection = DatabaseConnection(pooled)
            if current_actor() is not GATEWAY:
                pooled.mark_actor_set()
                await connection.execute("set_actor", current_actor().json)
            try:
                yield connection
            finally:
                if connection.has_notified:
                    for callback in self._subscribers:
                        callback()
        finally:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await self._pool.release(lent, timeout=_ACQUIRE_SECONDS)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[DatabaseConnection]:
        """One transaction: all of it is kept, or none."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[DatabaseConnection]:
        """Several statements that read the database as it was at the first of them."""
        async with self.connection() as connection, connection.snapshot():
            yield connection

    @contextlib.asynccontextmanager
    async def dedicated_connection(
        self, statement_seconds: float | None = _STATEMENT_SECONDS
    ) -> AsyncIterator[DatabaseConnection]:
        """A connection outside of the pool, for what holds one for long: it takes none away from requests.

        A statement has `statement_seconds`; None: as long as it takes.
        """
        try:
            connection = await asyncpg.connect(
                self.url, timeout=_ACQUIRE_SECONDS, command_timeout=statement_seconds, server_settings=_SERVER_SETTINGS
            )
        except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            await self._restart_embedded()
            raise DatabaseUnavailableError() from error
        try:
            yield DatabaseConnection(connection)
        finally:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await connection.close(timeout=_ACQUIRE_SECONDS)

    async def _restart_embedded(self) -> None:
        """Start an embedded server that died; at most once a second, however many requests find it gone."""
        now = time.monotonic()
        if self._embedded is not None and now - self._restarted_at >= _RESTART_INTERVAL_SECONDS:
            self._restarted_at = now
            await asyncio.to_thread(self._embedded.ensure_running)


@contextlib.asynccontextmanager
async def open_database(
    settings: Settings, *, size: int | None = None, requirements: DatabaseRequirements | None = None
) -> AsyncIterator[Database]:
    """The database of `settings`, started if it is the embedded one, checked and migrated.

    `size` overrides the number of pooled connections, `requirements` the versions that will do. Raises DatabaseError
    when it cannot be reached or used, and MigrationError when its schema does not fit.
    """
    embedded = None if settings.database.url else EmbeddedServer(settings.data_dir)
    url = settings.database.url or await asyncio.to_thread(EmbeddedServer.start, embedded)  # type: ignore[arg-type]
    try:
        await _prepare(url, requirements or DatabaseRequirements())
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size or settings.database.pool_size,
            init=set_codecs,
            connection_class=PooledConnection,
            command_timeout=_STATEMENT_SECONDS,
            server_settings=_SERVER_SETTINGS,
        )
        try:
            yield Database(pool, url, embedded)
        finally:
            try:
                await asyncio.wait_for(pool.close(), timeout=_ACQUIRE_SECONDS)
            except CONNECTION_ERRORS:
                pool.terminate()
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)


async def _prepare(url: str, requirements: DatabaseRequirements) -> None:
    """Check the versions and migrate, on a connection of its own: types must exist before the pool asks for them."""
    try:
        connection = await asyncpg.connect(url, timeout=10, server_settings={"application_name": "modelgate"})
    except (*CONNECTION_ERRORS, asyncpg.PostgresError, ValueError) as error:
        raise DatabaseError(
            f"The database at {location_of(url)} cannot be reached ({error or type(error).__name__}); "
            "check database.url and that PostgreSQL runs."
        ) from error
    try:
        await requirements.check(connection, url)
        await migrate(connection)
    finally:
        await connection.close()
