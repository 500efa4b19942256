"""Copies of the database that take over reading, as far as they have what is to be read."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import asyncpg

from gateway.database.connection import CONNECTION_ERRORS, DatabaseConnection, PooledConnection, set_codecs
from gateway.database.requirements import location_of
from gateway.errors import DatabaseError, DatabaseUnavailableError

logger = logging.getLogger(__name__)

_ACQUIRE_SECONDS = 1.0
_STATEMENT_SECONDS = 10.0
# One that does not answer is not asked again for so long.
_RETRY_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class _Replica:
    url: str
    pool: asyncpg.Pool[Any]
    usable_at: float = 0.0


class Replicas:
    """Asked in turn. Each is asked for a tenant's catalogue only where it has that tenant's latest change."""

    def __init__(self, replicas: Sequence[_Replica]) -> None:
        self._replicas = replicas
        self._turns = itertools.count()
        self.reads: dict[str, float] = {"replica": 0, "behind": 0, "failed": 0}
        """How often a replica was read from, was behind, and failed."""

    def __bool__(self) -> bool:
        return bool(self._replicas)

    @contextlib.asynccontextmanager
    async def snapshot(self, tenant_id: int, version: int) -> AsyncIterator[DatabaseConnection | None]:
        """Several statements that read a tenant's catalogue as of `version` or later; None where no replica has it.

        Raises DatabaseUnavailableError where it fails while it is read.
        """
        async with contextlib.AsyncExitStack() as stack:
            connection = await self._open(stack, tenant_id, version)
            try:
                yield connection
            except asyncpg.PostgresError as error:
                # A standby ends statements that stand in the way of what it has to replay.
                raise DatabaseUnavailableError() from error

    async def aclose(self) -> None:
        """Close all connections."""
        for replica in self._replicas:
            try:
                await asyncio.wait_for(replica.pool.close(), timeout=_ACQUIRE_SECONDS)
            except CONNECTION_ERRORS:
                replica.pool.terminate()

    async def _open(self, stack: contextlib.AsyncExitStack, tenant_id: int, version: int) -> DatabaseConnection | None:
        first, now = next(self._turns), time.monotonic()
        for number in range(len(self._replicas)):
            replica = self._replicas[(first + number) % len(self._replicas)]
            if replica.usable_at > now:
                continue
            is_probe = replica.usable_at > 0
            if is_probe:
                # Whether it answers again one finds out, and the others pass it over.
                replica.usable_at = now + _RETRY_SECONDS
            async with contextlib.AsyncExitStack() as opening:
                try:
                    connection = await self._connect(opening, replica)
                    seen = await connection.fetchval("catalogue_version", tenant_id)
                except (DatabaseError, *CONNECTION_ERRORS, asyncpg.PostgresError) as error:
                    replica.usable_at = time.monotonic() + _RETRY_SECONDS
                    self.reads["failed"] += 1
                    logger.info("The replica at %s is not asked for the moment: %s", location_of(replica.url), error)
                    continue
                if is_probe:
                    replica.usable_at = 0.0
                if seen is None or seen < version:
                    self.reads["behind"] += 1
                    continue
                self.reads["replica"] += 1
                stack.push_async_exit(opening.pop_all())
                return connection
        return None

    async def _connect(self, stack: contextlib.AsyncExitStack, replica: _Replica) -> DatabaseConnection:
        lent = await replica.pool.acquire(timeout=_ACQUIRE_SECONDS)

        async def release() -> None:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await replica.pool.release(lent, timeout=_ACQUIRE_SECONDS)

        stack.push_async_callback(release)
        connection = DatabaseConnection(cast(PooledConnection, lent))
        await stack.enter_async_context(connection.snapshot())
        return connection


async def open_replicas(urls: Sequence[str], pool_size: int, server_settings: Mapping[str, str]) -> Replicas:
    """Pools of connections to these, none of which is opened yet."""
    return Replicas(
        [
            _Replica(
                url,
                await asyncpg.create_pool(
                    url,
                    min_size=0,
                    max_size=pool_size,
                    init=set_codecs,
                    connection_class=PooledConnection,
                    command_timeout=_STATEMENT_SECONDS,
                    server_settings=dict(server_settings),
                ),
            )
            for url in urls
        ]
    )
