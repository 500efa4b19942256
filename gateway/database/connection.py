"""A connection to PostgreSQL, and the one way in which statements are run on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
from pgvector.asyncpg import register_vector

from gateway.database.queries import statement
from gateway.errors import ConflictError, DatabaseUnavailableError, InvalidInputError
from gateway.json_codec import encode

Row: TypeAlias = asyncpg.Record

# What asyncpg and the socket raise when PostgreSQL is gone, starting, stopping, or out of something it needs.
CONNECTION_ERRORS = (
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

    Statements that set anything for longer than their transaction are run on dedicated connections, but for the actor.
    """

    _actor_set = False

    def mark_actor_set(self) -> None:
        """Whoever gets this connection next must not act as the one whom it has been told of."""
        self._actor_set = True

    def get_reset_query(self) -> str:
        if not self._actor_set:
            return ""
        self._actor_set = False
        return str(super().get_reset_query())


class DatabaseConnection:
    """Runs named statements on one connection; every method raises DatabaseUnavailableError when it is lost."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self.has_notified = False
        """Whether a statement has told other processes of a change."""

    async def fetch(self, name: str, *args: Any, **numbers: int) -> list[Row]:
        """All rows of the statement called `name`."""
        with translated_errors():
            return await self._connection.fetch(self._text(name, numbers), *args)

    async def fetchrow(self, name: str, *args: Any, **numbers: int) -> Row | None:
        """The first row, or None."""
        with translated_errors():
            return await self._connection.fetchrow(self._text(name, numbers), *args)

    async def fetchval(self, name: str, *args: Any, **numbers: int) -> Any:
        """The first column of the first row, or None."""
        with translated_errors():
            return await self._connection.fetchval(self._text(name, numbers), *args)

    async def execute(self, name: str, *args: Any, **numbers: int) -> int:
        """Run for its effect; the number of rows it touched."""
        with translated_errors():
            status = await self._connection.execute(self._text(name, numbers), *args)
        return int(status.rpartition(" ")[2]) if status.rpartition(" ")[2].isdigit() else 0

    async def executemany(self, name: str, rows: Sequence[Sequence[Any]], **numbers: int) -> None:
        """Run once for each of `rows`, in one round trip."""
        with translated_errors():
            await self._connection.executemany(self._text(name, numbers), rows)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        """Several statements that read the database as it was at the first of them."""
        async with self.transaction(isolation="repeatable_read", readonly=True):
            yield

    @contextlib.asynccontextmanager
    async def transaction(self, **options: Any) -> AsyncIterator[None]:
        """One transaction: all that is run inside is kept, or none of it. `options` are those of asyncpg."""
        with translated_errors():
            transaction = self._connection.transaction(**options)
            await transaction.start()
        try:
            yield
        except BaseException:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await transaction.rollback()
            raise
        with translated_errors():
            await transaction.commit()

    def _text(self, name: str, numbers: Mapping[str, int]) -> str:
        text = statement(name, **numbers)
        self.has_notified = self.has_notified or "pg_notify" in text
        return text


async def set_codecs(connection: asyncpg.Connection[Any]) -> None:
    """Say how vectors and JSON are sent and read."""
    await register_vector(connection)
    # jsonb comes as Python values; json stays text, to be passed on as the upstream wrote it.
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode_json, decoder=json.loads)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """What the driver raises inside comes out as ConflictError, InvalidInputError or DatabaseUnavailableError."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"That already exists ({error.constraint_name}).") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise ConflictError(f"That refers to something that is not there ({error.constraint_name}).") from error
    except asyncpg.DataError as error:
        raise _value_error() from error
    except asyncpg.InterfaceError as error:
        # A statement called in the wrong way is an error of this class too, and trying again would not mend it.
        if not any(word in str(error) for word in ("closed", "closing", "released")):
            raise
        raise DatabaseUnavailableError() from error
    except CONNECTION_ERRORS as error:
        # The driver's own word for a value that it cannot send.
        if isinstance(error, ValueError):
            raise _value_error() from error
        raise DatabaseUnavailableError() from error


def _value_error() -> InvalidInputError:
    return InvalidInputError("A value does not fit into the database; look for odd characters or numbers in it.")


def _encode_json(value: Any) -> str:
    return encode(value).decode()
