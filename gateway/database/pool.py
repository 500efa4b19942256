"""The pool of connections to the database."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast
from weakref import WeakValueDictionary

import asyncpg

from gateway.database.actor import GATEWAY, current_actor
from gateway.database.background import BackgroundShare
from gateway.database.connection import (
    CONNECTION_ERRORS,
    LOOKUP_SECONDS,
    ConnectionChange,
    DatabaseConnection,
    PooledConnection,
    Row,
    set_codecs,
)
from gateway.database.embedded import EmbeddedServer
from gateway.database.migrate import Migration, migrate, pending_migrations
from gateway.database.queries import statement_kind
from gateway.database.replicas import Replicas, open_replicas
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


OnWait = Callable[[str, float], None]
"""Called with "ok" or "failed", and how many seconds somebody waited for a pooled connection."""
OnChange = Callable[["ConnectionChange | None"], None]
"""Called with what has changed, None where that may be anything."""


def _ignore_wait(outcome: str, seconds: float) -> None:
    """Nobody counts."""


class Database:
    """A pool of connections to one PostgreSQL, embedded or not. Use `open_database`."""

    def __init__(
        self,
        pool: asyncpg.Pool[Any],
        url: str,
        embedded: EmbeddedServer | None,
        on_wait: OnWait = _ignore_wait,
        replicas: Replicas | None = None,
    ) -> None:
        self._pool = pool
        self._background = BackgroundShare(pool.get_max_size())
        self._on_wait = on_wait
        self.replicas = replicas or Replicas(())
        self._embedded = embedded
        self._restarted_at = 0.0
        self._progress_at = 0.0
        self._subscribers: list[OnChange] = []
        # Each for as long as somebody holds it or waits for it.
        self._tenant_locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self.url = url

    def subscribe(self, callback: OnChange) -> None:
        """Call `callback` after each committed change that other processes are told of, before its caller goes on; with
        None where anything may have changed.
        """
        self._subscribers.append(callback)

    @property
    def connections(self) -> Mapping[str, float]:
        """How many pooled connections are "busy" and "idle"."""
        idle = self._pool.get_idle_size()
        return {"busy": self._pool.get_size() - idle, "idle": idle}

    async def fetch(self, name: str, *args: Any, **numbers: int) -> list[Row]:
        async with self.connection(_acquire_seconds(name)) as connection:
            return await connection.fetch(name, *args, **numbers)

    async def fetchrow(self, name: str, *args: Any, **numbers: int) -> Row | None:
        async with self.connection(_acquire_seconds(name)) as connection:
            return await connection.fetchrow(name, *args, **numbers)

    async def fetchval(self, name: str, *args: Any, **numbers: int) -> Any:
        async with self.connection(_acquire_seconds(name)) as connection:
            return await connection.fetchval(name, *args, **numbers)

    async def execute(self, name: str, *args: Any, **numbers: int) -> int:
        async with self.connection(_acquire_seconds(name)) as connection:
            return await connection.execute(name, *args, **numbers)

    @contextlib.asynccontextmanager
    async def connection(self, acquire_seconds: float = _ACQUIRE_SECONDS) -> AsyncIterator[DatabaseConnection]:
        """One connection for several statements, as soon as one of the pool is free."""
        async with self._background.turn(), self._lent(acquire_seconds) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _lent(self, acquire_seconds: float) -> AsyncIterator[DatabaseConnection]:
        started = time.perf_counter()
        try:
            lent = await self._acquire(acquire_seconds)
        except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            self._on_wait("failed", time.perf_counter() - started)
            await self._restart_embedded()
            raise DatabaseUnavailableError() from error
        self._on_wait("ok", time.perf_counter() - started)
        self._progress_at = time.monotonic()
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
                for change in (None,) if None in connection.changes else connection.changes:
                    for callback in self._subscribers:
                        callback(change)
        finally:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await self._pool.release(lent, timeout=_ACQUIRE_SECONDS)

    async def _acquire(self, patience: float) -> Any:
        """A connection of the pool. Raises asyncio.TimeoutError after `patience` seconds in which nobody got one, and
        in any case after five: where all are busy, the database is not frozen.
        """
        give_up_at = time.monotonic() + _ACQUIRE_SECONDS
        while True:
            try:
                return await self._pool.acquire(timeout=patience)
            except asyncio.TimeoutError:
                now = time.monotonic()
                if now >= give_up_at or now - self._progress_at >= patience:
                    raise

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[DatabaseConnection]:
        """One transaction: all of it is kept, or none."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def tenant_transaction(self, tenant_id: int) -> AsyncIterator[DatabaseConnection]:
        """One transaction, beside which no other of its kind changes the tenant: whatever changes its catalogue, or who
        sees what of it, is one, so that none of them waits for what another holds that waits for it.
        """
        # Those of this process wait here: each would else keep a connection from other tenants while it waits.
        async with self._tenant_locks.setdefault(tenant_id, asyncio.Lock()), self.transaction() as transaction:
            await transaction.execute("lock_tenant", tenant_id)
            yield transaction

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[DatabaseConnection]:
        """Several statements that read the database as it was at the first of them."""
        async with self.connection(LOOKUP_SECONDS) as connection, connection.snapshot():
            yield connection

    @contextlib.asynccontextmanager
    async def replica_snapshot(self, tenant_id: int) -> AsyncIterator[DatabaseConnection | None]:
        """Several statements that read a tenant's catalogue at a replica, as it is now or later; None where there is
        none that has its latest change. Raises DatabaseError where it fails while it is read.
        """
        if not self.replicas:
            yield None
            return
        version = await self.fetchval("catalogue_version", tenant_id)
        async with self.replicas.snapshot(tenant_id, version or 0) as snapshot:
            yield snapshot

    async def fetch_catalogue(self, name: str, tenant_id: int, *args: Any) -> list[Row]:
        """All rows of a statement about a tenant's catalogue as it is now, from a replica where one has it."""
        with contextlib.suppress(DatabaseError):
            async with self.replica_snapshot(tenant_id) as snapshot:
                if snapshot is not None:
                    return await snapshot.fetch(name, tenant_id, *args)
        return await self.fetch(name, tenant_id, *args)

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
            yield DatabaseConnection(connection, is_patient=statement_seconds is None)
        finally:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await connection.close(timeout=_ACQUIRE_SECONDS)

    async def _restart_embedded(self) -> None:
        """Start an embedded server that died; at most once a second, however many requests find it gone."""
        now = time.monotonic()
        if self._embedded is not None and now - self._restarted_at >= _RESTART_INTERVAL_SECONDS:
            self._restarted_at = now
            await asyncio.to_thread(self._embedded.ensure_running)


def _acquire_seconds(name: str) -> float:
    return LOOKUP_SECONDS if statement_kind(name) == "lookup" else _ACQUIRE_SECONDS


@contextlib.asynccontextmanager
async def open_database(
    settings: Settings,
    *,
    size: int | None = None,
    requirements: DatabaseRequirements | None = None,
    on_wait: OnWait = _ignore_wait,
) -> AsyncIterator[Database]:
    """The database of `settings`, started if it is the embedded one, checked and migrated.

    `size` overrides the number of pooled connections, `requirements` the versions that will do. Raises DatabaseError
    when it cannot be reached or used, and MigrationError when its schema does not fit.
    """
    async with _server(settings) as (embedded, url):
        async with _first_connection(url, requirements or DatabaseRequirements()) as connection:
            await migrate(connection)
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size or settings.database.pool_size,
            init=set_codecs,
            connection_class=PooledConnection,
            command_timeout=_STATEMENT_SECONDS,
            server_settings=_SERVER_SETTINGS,
        )
        replicas = await open_replicas(
            settings.database.replica_urls, size or settings.database.pool_size, _SERVER_SETTINGS
        )
        try:
            yield Database(pool, url, embedded, on_wait, replicas)
        finally:
            await replicas.aclose()
            try:
                await asyncio.wait_for(pool.close(), timeout=_ACQUIRE_SECONDS)
            except CONNECTION_ERRORS:
                pool.terminate()


async def plan_migrations(settings: Settings) -> list[Migration]:
    """What opening the database would apply; nothing is. Raises as `open_database`."""
    async with _server(settings) as (_, url), _first_connection(url, DatabaseRequirements()) as connection:
        return await pending_migrations(connection)


@contextlib.asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[tuple[EmbeddedServer | None, str]]:
    """The URL of the database, and its server where that is the embedded one, which runs until the block ends."""
    if settings.database.url:
        yield None, settings.database.url
        return
    embedded = EmbeddedServer(settings.data_dir)
    url = await asyncio.to_thread(embedded.start)
    try:
        yield embedded, url
    finally:
        await asyncio.to_thread(embedded.stop)


@contextlib.asynccontextmanager
async def _first_connection(url: str, requirements: DatabaseRequirements) -> AsyncIterator[asyncpg.Connection[Any]]:
    """One to check the versions and migrate with: types must exist before the pool asks for them."""
    try:
        connection = await asyncpg.connect(url, timeout=10, server_settings={"application_name": "modelgate"})
    except (*CONNECTION_ERRORS, asyncpg.PostgresError, ValueError) as error:
        raise DatabaseError(
            f"The database at {location_of(url)} cannot be reached ({error or type(error).__name__}); "
            "check database.url and that PostgreSQL runs."
        ) from error
    try:
        await requirements.check(connection, url)
        yield connection
    finally:
        await connection.close()
