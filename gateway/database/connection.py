"""A connection to PostgreSQL, and the one way in which statements are run on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import anyio
import asyncpg
from pgvector.asyncpg import register_vector

from gateway.database.queries import StatementKind, statement, statement_kind
from gateway.errors import ConflictError, DatabaseUnavailableError, InvalidInputError
from gateway.json_codec import encode
from gateway.telemetry.tracing import span

Row: TypeAlias = asyncpg.Record

_DATABASE = {"db.system.name": "postgresql"}
LOOKUP_SECONDS = 1.0
"""How long somebody waits at most for a few rows that are found by their keys."""

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


_STATEMENT_LIMITS: Mapping[StatementKind, Mapping[str, float]] = {
    "lookup": {"timeout": LOOKUP_SECONDS},
    # As the connection was opened.
    "connection": {},
    "other": {},
    "bulk": {"timeout": 120.0},
}


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


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """A person has connected, disconnected or agreed otherwise at one server."""

    tenant_id: int
    person_id: int
    server_id: int


class DatabaseConnection:
    """Runs named statements on one connection; every method raises DatabaseUnavailableError when it is lost.

    It counts as lost, and is closed, when a statement takes longer than its kind may: a lookup one second, others ten,
    and two minutes what may go through a whole catalogue.
    """

    def __init__(self, connection: asyncpg.Connection[Any], *, is_patient: bool = False) -> None:
        """One that `is_patient` lets each statement take the time that the connection was opened with."""
        self._connection = connection
        self._is_patient = is_patient
        self.changes: set[ConnectionChange | None] = set()
        """What statements have told other processes of: what changed, None where that may be anything."""

    async def fetch(self, name: str, *args: Any, **numbers: int) -> list[Row]:
        """All rows of the statement called `name`."""
        rows: list[Row] = await self._run(self._connection.fetch, name, args, numbers)
        return rows

    async def fetchrow(self, name: str, *args: Any, **numbers: int) -> Row | None:
        """The first row, or None."""
        row: Row | None = await self._run(self._connection.fetchrow, name, args, numbers)
        return row

    async def fetchval(self, name: str, *args: Any, **numbers: int) -> Any:
        """The first column of the first row, or None."""
        return await self._run(self._connection.fetchval, name, args, numbers)

    async def execute(self, name: str, *args: Any, **numbers: int) -> int:
        """Run for its effect; the number of rows it touched."""
        status: str = await self._run(self._connection.execute, name, args, numbers)
        return int(status.rpartition(" ")[2]) if status.rpartition(" ")[2].isdigit() else 0

    async def executemany(self, name: str, rows: Sequence[Sequence[Any]], **numbers: int) -> None:
        """Run once for each of `rows`, in one round trip."""
        await self._run(self._connection.executemany, name, (rows,), numbers, kind="bulk")

    async def _run(
        self,
        method: Callable[..., Awaitable[Any]],
        name: str,
        args: Sequence[Any],
        numbers: Mapping[str, int],
        kind: StatementKind | None = None,
    ) -> Any:
        limit = {} if self._is_patient else _STATEMENT_LIMITS[kind or statement_kind(name)]
        with span(name, "client", _DATABASE), translated_errors():
            try:
                text = statement(name, **numbers)
                if "pg_notify" in text:
                    self.changes.add(_change(name, args))
                return await method(text, *args, **limit)
            except asyncio.TimeoutError:
                # To wait until PostgreSQL has let go of it may take as long again.
                self._connection.terminate()
                raise

    async def listen(self, channel: str, callback: Callable[[], None]) -> None:
        """Call `callback` for every notice on `channel`, and when the connection has ended."""
        with translated_errors():
            await self._connection.add_listener(channel, lambda *_: callback())
        self._connection.add_termination_listener(lambda *_: callback())

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        """Several statements that read the database as it was at the first of them.

        To begin and to end it takes no longer than a lookup: where the database is frozen, that is known then, and not
        by the first statement, which may have much to do.
        """
        seconds = None if self._is_patient else _STATEMENT_LIMITS["lookup"]["timeout"]
        async with self.transaction(seconds, isolation="repeatable_read", readonly=True):
            yield

    @contextlib.asynccontextmanager
    async def transaction(self, seconds: float | None = None, **options: Any) -> AsyncIterator[None]:
        """One transaction: all that is run inside is kept, or none of it. `options` are those of asyncpg.

        To begin and to end it may take `seconds` each; None: as long as a statement of the connection.
        """
        with translated_errors(), self._closed_if_late(seconds):
            transaction = self._connection.transaction(**options)
            await transaction.start()
        try:
            yield
        except BaseException:
            with contextlib.suppress(*CONNECTION_ERRORS), self._closed_if_late(seconds):
                await transaction.rollback()
            raise
        with translated_errors(), self._closed_if_late(seconds):
            await transaction.commit()

    @contextlib.contextmanager
    def _closed_if_late(self, seconds: float | None) -> Iterator[None]:
        """Raises TimeoutError and closes the connection where what is awaited inside takes longer."""
        try:
            with anyio.fail_after(seconds):
                yield
        except (TimeoutError, asyncio.TimeoutError):
            self._connection.terminate()
            raise


def _change(name: str, args: Sequence[Any]) -> ConnectionChange | None:
    return ConnectionChange(*args[:3]) if statement_kind(name) == "connection" else None


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
    except (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError) as error:
        raise DatabaseUnavailableError("The database gave way to another change; try again in a moment.") from error
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
