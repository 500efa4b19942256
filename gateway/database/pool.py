"""The connection pool, and the one way in which statements are run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

import asyncpg
from pgvector.asyncpg import register_vector

from gateway.database.actor import GATEWAY, acting
from gateway.database.embedded import EmbeddedServer
from gateway.database.migrate import migrate
from gateway.database.queries import statement
from gateway.errors import ConflictError, DatabaseError, DatabaseUnavailableError, InvalidInputError
from gateway.json_codec import encode
from gateway.settings import Settings

Row: TypeAlias = asyncpg.Record

_MINIMUM_POSTGRESQL = 14
_MINIMUM_PGVECTOR = (0, 8)
_ACQUIRE_SECONDS = 5.0
# A statement that takes longer than this has lost its way; it must not hold a connection for ever.
_STATEMENT_SECONDS = 10.0
_REVIVE_EVERY_SECONDS = 1.0
_SERVER_SETTINGS = {
    "application_name": "modelgate",
    "jit": "off",
    # An index scan goes on until it has as many tools as were asked for that the caller may see.
    "hnsw.iterative_scan": "strict_order",
    # What the triggers that write the audit log name, unless somebody else acts.
    "modelgate.actor": GATEWAY.json,
}

# What asyncpg and the socket raise when PostgreSQL is gone, starting, stopping, or out of something it needs.
_GONE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # A connection that ended while nothing was awaited of it, at the next thing that is.
    asyncpg.InternalClientError,
    asyncio.TimeoutError,
)


class PooledConnection(asyncpg.Connection):
    """A connection of the pool, which needs no round trip to be handed back as it was.

    Statements that set anything for longer than their transaction are run on connections apart, but for who acts.
    """

    _acted = False

    def acts(self) -> None:
        """Somebody else than the gateway is going to act through this connection."""
        self._acted = True

    def get_reset_query(self) -> str:
        if not self._acted:
            return ""
        self._acted = False
        return str(super().get_reset_query())


class Statements:
    """Runs named statements on one connection; every method raises DatabaseUnavailableError when it is lost."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self.notified = False
        """Whether a statement has told other processes of a change."""

    async def fetch(self, name: str, *args: Any, **numbers: int) -> list[Row]:
        """All rows of the statement called `name`."""
        with _told():
            return await self._connection.fetch(self._text(name, numbers), *args)

    async def fetchrow(self, name: str, *args: Any, **numbers: int) -> Row | None:
        """The first row, or None."""
        with _told():
            return await self._connection.fetchrow(self._text(name, numbers), *args)

    async def fetchval(self, name: str, *args: Any, **numbers: int) -> Any:
        """The first column of the first row, or None."""
        with _told():
            return await self._connection.fetchval(self._text(name, numbers), *args)

    async def execute(self, name: str, *args: Any, **numbers: int) -> int:
        """Run for its effect; the number of rows it touched."""
        with _told():
            status = await self._connection.execute(self._text(name, numbers), *args)
        return int(status.rpartition(" ")[2]) if status.rpartition(" ")[2].isdigit() else 0

    async def executemany(self, name: str, rows: Sequence[Sequence[Any]], **numbers: int) -> None:
        """Run once for each of `rows`, in one round trip."""
        with _told():
            await self._connection.executemany(self._text(name, numbers), rows)

    def _text(self, name: str, numbers: Mapping[str, int]) -> str:
        text = statement(name, **numbers)
        self.notified = self.notified or "pg_notify" in text
        return text


class Database:
    """A pool of connections to one PostgreSQL, embedded or not. Use `open_database`."""

    def __init__(self, pool: asyncpg.Pool[Any], url: str, embedded: EmbeddedServer | None) -> None:
        self._pool = pool
        self._embedded = embedded
        self._revived_at = 0.0
        self._on_change: list[Callable[[], None]] = []
        self.url = url

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each committed change that other processes are told of, before its caller goes on."""
        self._on_change.append(callback)

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
    async def connection(self) -> AsyncIterator[Statements]:
        """One connection for several statements."""
        try:
            lent = await self._pool.acquire(timeout=_ACQUIRE_SECONDS)
        except (*_GONE, asyncpg.PostgresError) as error:
            await self._revive()
            raise DatabaseUnavailableError() from error
        try:
            # It is a proxy that has every method of a connection.
            connection = cast(PooledConnection, lent)
            statements = Statements(connection)
            if acting() is not GATEWAY:
                connection.acts()
                await statements.execute("act_as", acting().json)
            try:
                yield statements
            finally:
                if statements.notified:
                    for callback in self._on_change:
                        callback()
        finally:
            with contextlib.suppress(*_GONE):
                await self._pool.release(lent, timeout=_ACQUIRE_SECONDS)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Statements]:
        """One transaction: all of it is kept, or none."""
        async with self.connection() as statements:
            with _told():
                transaction = statements._connection.transaction()
                await transaction.start()
            try:
                yield statements
            except BaseException:
                with contextlib.suppress(*_GONE):
                    await transaction.rollback()
                raise
            with _told():
                await transaction.commit()

    @contextlib.asynccontextmanager
    async def connection_apart(self) -> AsyncIterator[Statements]:
        """A connection outside of the pool, for what holds one for long: it takes none away from requests."""
        try:
            connection = await asyncpg.connect(
                self.url, timeout=_ACQUIRE_SECONDS, command_timeout=_STATEMENT_SECONDS, server_settings=_SERVER_SETTINGS
            )
        except (*_GONE, asyncpg.PostgresError) as error:
            await self._revive()
            raise DatabaseUnavailableError() from error
        try:
            yield Statements(connection)
        finally:
            with contextlib.suppress(*_GONE):
                await connection.close(timeout=_ACQUIRE_SECONDS)

    async def _revive(self) -> None:
        """Start an embedded server that died; at most once a second, however many requests find it gone."""
        now = time.monotonic()
        if self._embedded is not None and now - self._revived_at >= _REVIVE_EVERY_SECONDS:
            self._revived_at = now
            await asyncio.to_thread(self._embedded.revive)


@contextlib.asynccontextmanager
async def open_database(settings: Settings, *, size: int | None = None) -> AsyncIterator[Database]:
    """The database of `settings`, started if it is the embedded one, checked and migrated.

    `size` overrides the number of pooled connections. Raises DatabaseError when it cannot be reached or used, and
    MigrationError when its schema does not fit.
    """
    embedded = None if settings.database.url else EmbeddedServer(settings.data_dir)
    url = settings.database.url or await asyncio.to_thread(EmbeddedServer.start, embedded)  # type: ignore[arg-type]
    try:
        await _prepare(url)
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size or settings.database.pool_size,
            init=_initialise,
            connection_class=PooledConnection,
            command_timeout=_STATEMENT_SECONDS,
            server_settings=_SERVER_SETTINGS,
        )
        try:
            yield Database(pool, url, embedded)
        finally:
            try:
                await asyncio.wait_for(pool.close(), timeout=_ACQUIRE_SECONDS)
            except _GONE:
                pool.terminate()
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)


async def _prepare(url: str) -> None:
    """Check the versions and migrate, on a connection of its own: types must exist before the pool asks for them."""
    try:
        connection = await asyncpg.connect(url, timeout=10, server_settings={"application_name": "modelgate"})
    except (*_GONE, asyncpg.PostgresError, ValueError) as error:
        raise DatabaseError(
            f"The database at {_place(url)} cannot be reached ({error or type(error).__name__}); "
            "check database.url and that PostgreSQL runs."
        ) from error
    try:
        versions = await connection.fetchrow(statement("server_version"))
        assert versions is not None
        if versions["postgresql"] < _MINIMUM_POSTGRESQL * 10_000:
            raise DatabaseError(
                f"PostgreSQL {versions['postgresql'] // 10_000} is too old; ModelGate needs PostgreSQL "
                f"{_MINIMUM_POSTGRESQL} or newer."
            )
        found = versions["pgvector"]
        if found is None or tuple(int(part) for part in found.split(".")[:2]) < _MINIMUM_PGVECTOR:
            raise DatabaseError(
                f"PostgreSQL at {_place(url)} has {'no pgvector' if found is None else 'pgvector ' + found}; install "
                "pgvector 0.8 or newer (Debian: postgresql-NN-pgvector; Docker: pgvector/pgvector:pg17)."
            )
        await migrate(connection)
    finally:
        await connection.close()


async def _initialise(connection: asyncpg.Connection[Any]) -> None:
    await register_vector(connection)
    # jsonb comes as Python values; json stays text, to be passed on as the upstream wrote it.
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_json_text, decoder=json.loads)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what the driver raises into errors of ours."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"That already exists ({error.constraint_name}).") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise ConflictError(f"That refers to something that is not there ({error.constraint_name}).") from error
    except asyncpg.DataError as error:
        raise _does_not_fit() from error
    except asyncpg.InterfaceError as error:
        # A statement called in the wrong way is an error of this class too, and trying again would not mend it.
        if not any(word in str(error) for word in ("closed", "closing", "released")):
            raise
        raise DatabaseUnavailableError() from error
    except _GONE as error:
        # The driver's own word for a value that it cannot send.
        if isinstance(error, ValueError):
            raise _does_not_fit() from error
        raise DatabaseUnavailableError() from error


def _does_not_fit() -> InvalidInputError:
    return InvalidInputError("A value does not fit into the database; look for odd characters or numbers in it.")


def _place(url: str) -> str:
    """A URL without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _json_text(value: Any) -> str:
    return encode(value).decode()
